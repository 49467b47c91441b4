"""What the functions of saliency are given, checked once: maps, pairs of maps, fixations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Map = NDArray[np.float64]


def check_density(values: Map, total: float, name: str) -> None:
    """Refuses a map that is negative somewhere, or whose sum is 0."""
    if values.min() < 0:
        raise ValueError(f"{name} holds negative values, and a density cannot: give probabilities, not logits")
    if total <= 0:
        raise ValueError(f"{name} sums to 0: a density needs mass somewhere")


def check_densities(p: Map, q: Map, sum_p: float, sum_q: float) -> None:
    """`check_density` of a prediction and of the truth."""
    check_density(p, sum_p, "prediction")
    check_density(q, sum_q, "truth")


def pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[Map, Map, float, float]:
    """Both maps in float64, and their sums; refuses maps of two shapes."""
    (p, sum_p), (q, sum_q) = as_map(prediction, "prediction"), as_map(truth, "truth")
    if p.shape != q.shape:
        raise ValueError(f"prediction is {p.shape} and truth is {q.shape}: resize one to the other first")
    return p, q, sum_p, sum_q


def as_map(values: ArrayLike, name: str) -> tuple[Map, float]:
    """The map in float64 and its sum, which also tells whether all is finite."""
    array = as_float(values, name)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be one map (h, w), not of shape {array.shape}: score frames one by one")
    total = float(array.sum())
    if not np.isfinite(total):
        raise ValueError(f"{name} holds NaN or infinite values, or sums to more than a float64 holds")
    return array, total


def as_float(values: ArrayLike, name: str) -> Map:
    """Numbers as one block of float64."""
    try:
        return np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a bfloat16 tensor, or one on a GPU
        raise ValueError(
            f"{name} cannot be read as numbers ({error}): give a NumPy array or a float32 tensor on the CPU"
        ) from error


def fixations_of(truth: ArrayLike, shape: tuple[int, ...], name: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of fixations on a map of a shape, from either form; refuses none, and any outside."""
    try:
        array: NDArray[Any] = np.asarray(truth)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as fixations ({error}): give a NumPy array") from error
    if array.shape == shape and (array.dtype == bool or shape[1] != 2):
        rows, columns = np.nonzero(array)
    elif array.ndim == 2 and array.shape[1] == 2 and array.dtype != bool:
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite coordinates: drop lost gaze samples first")
        rows, columns = np.floor(array).astype(np.intp).T
        if (rows < 0).any() or (columns < 0).any() or (rows >= shape[0]).any() or (columns >= shape[1]).any():
            raise ValueError(f"{name} has fixations outside the {shape[0]} x {shape[1]} map: drop them first")
    else:
        raise ValueError(
            f"{name} must be a fixation map {shape} or an array (n, 2) of row and column, not {array.shape}"
        )
    if not len(rows):
        raise ValueError(f"{name} holds no fixation")
    return rows, columns
