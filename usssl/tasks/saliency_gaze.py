"""Between gaze points and maps: the density of recorded gaze, and the point at which a predicted map looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from usssl.tasks.saliency_checks import Map, as_float, as_map, check_density


def gaze_map(points: ArrayLike, shape: tuple[int, int], sigma: float) -> Map:
    """The density of gaze: a sum of Gaussians at the gaze points, divided by its sum (Droste et al. 2019).

    Args:
        points: gaze points `(n, 2)`, row and column in pixels of the map, where pixel `(i, j)` covers `[i, i + 1) x
            [j, j + 1)` and is valued at its centre; `x, y` normalised to the frame are `(y * h, x * w)`. Points
            outside add their tail.
        shape: `(h, w)` of the map.
        sigma: standard deviation in pixels, about 1 degree of visual angle in the literature.

    Returns:
        A map `(h, w)`, float64, sum 1.

    Raises:
        ValueError: no points, a coordinate that is not finite, a sigma that is not positive, or all points too far
            outside.
    """
    where = as_float(points, "points")
    if where.ndim != 2 or where.shape[1] != 2 or not len(where):
        raise ValueError(
            f"points must be an array (n, 2) of row and column with n at least 1, not of shape {where.shape}"
        )
    if not np.isfinite(where).all():
        raise ValueError("points hold NaN or infinite coordinates: drop lost gaze samples first")
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive number of pixels, not {sigma}")
    height, width = shape
    rows = np.exp(-0.5 * ((np.arange(height) + 0.5 - where[:, :1]) / sigma) ** 2)
    columns = np.exp(-0.5 * ((np.arange(width) + 0.5 - where[:, 1:]) / sigma) ** 2)
    density = rows.T @ columns
    total = density.sum()
    if total <= 0:
        raise ValueError(
            f"all points lie too far outside the {height} x {width} map: check that they are (row, column) in pixels"
        )
    return np.asarray(density / total, dtype=np.float64)


def soft_argmax(prediction: ArrayLike, size: tuple[int, int]) -> tuple[float, float]:
    """The gaze point that a map expects: the mean of its cells' centres, each weighed by its share of the map.

    The regression of gaze points of Droste et al. 2019 (methods/order_transform, Downstream protocol).

    Args:
        prediction: predicted map `(h, w)`, not negative, of any sum.
        size: height and width in pixels of the frame that the map covers.

    Returns:
        `x, y` in pixels of the frame, from 0 at its left and upper edge.

    Raises:
        ValueError: the map is not `(h, w)`, not finite, negative or empty of mass, or a size is not positive.
    """
    p, total = as_map(prediction, "prediction")
    check_density(p, total, "prediction")
    height, width = size
    if height <= 0 or width <= 0:
        raise ValueError(f"size must be a height and a width in pixels, both positive, not {size}")
    x = p.sum(axis=0) @ ((np.arange(p.shape[1]) + 0.5) * (width / p.shape[1]))
    y = p.sum(axis=1) @ ((np.arange(p.shape[0]) + 0.5) * (height / p.shape[0]))
    return float(x / total), float(y / total)
