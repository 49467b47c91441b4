"""Affine maps as matrices: how they are made from angles, scales and shears, and how they compose.

Pixel coordinates are continuous: the frame reaches from 0 to its width (x, first) and from 0 to its height (y, second,
downwards), and the centre of the first pixel is at 0.5. A positive angle turns x towards y: clockwise on a screen.
"""

from __future__ import annotations

import torch
from torch import Tensor


def affine_matrix(angle_deg: Tensor, scale: Tensor, shear_deg: Tensor, translation: Tensor | None = None) -> Tensor:
    """The matrix A = s R(a) Sh(q) that moves image content about the origin (methods/order_transform, property 4).

    Args:
        angle_deg: `(batch,)` rotation a in degrees.
        scale: `(batch,)` magnification s; 1.1 shows things 10 % larger.
        shear_deg: `(batch,)` shear angle q in degrees: x moves by tan(q) times y, before the rotation.
        translation: `(batch, 2)` shift of the content along x and y, or None.

    Returns:
        `(batch, 2, 2)`, or `(batch, 2, 3)` with the translation as last column.
    """
    angle, shear = torch.deg2rad(angle_deg), torch.tan(torch.deg2rad(shear_deg))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([cos, cos * shear - sin, sin, sin * shear + cos], dim=-1)
    matrix = scale[:, None, None] * rows.unflatten(-1, (2, 2))
    return matrix if translation is None else torch.cat([matrix, translation[:, :, None].to(matrix)], dim=2)


def about_centre(matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Turns maps `(batch, 2, 2 or 3)` about the origin into `(batch, 2, 3)` about the centre of a `(height, width)`."""
    centre = torch.tensor([size[1] / 2, size[0] / 2], dtype=matrix.dtype)
    linear = matrix[:, :, :2]
    shift = centre - linear @ centre
    if matrix.shape[2] == 3:
        shift = shift + matrix[:, :, 2]
    return torch.cat([linear, shift[:, :, None]], dim=2)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """`outer(inner(p))` for `(batch, 2, 3)` maps."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    shift = outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]
    return torch.cat([linear, shift], dim=2)


def inverse(matrix: Tensor) -> Tensor:
    """The inverse of `(batch, 2, 3)` maps."""
    linear = torch.linalg.inv(matrix[:, :, :2])
    return torch.cat([linear, -linear @ matrix[:, :, 2:]], dim=2)


def transform(matrix: Tensor, points: Tensor) -> Tensor:
    """Moves points `(batch, count, 2)` by `(batch, 2, 3)` maps."""
    return points @ matrix[:, :, :2].mT + matrix[:, None, :, 2]


def corners(size: tuple[int, int], rows: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The corners of a frame of `(height, width)`: top left, top right, bottom right, bottom left; `(rows, 4, 2)`."""
    height, width = size
    return torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=dtype).expand(rows, 4, 2)


def resize_matrix(source: tuple[int, int], target: tuple[int, int], rows: int) -> Tensor:
    """Maps pixels of a frame of `target` (height, width) onto those of `source`: `(rows, 2, 3)`."""
    scale = torch.tensor([source[1] / target[1], source[0] / target[0]], dtype=torch.float64)
    return torch.cat([torch.diag(scale), torch.zeros(2, 1, dtype=torch.float64)], dim=1).expand(rows, 2, 3)


def identity_matrices(rows: int) -> Tensor:
    """The map that moves nothing: `(rows, 2, 3)`."""
    return torch.eye(2, 3, dtype=torch.float64).expand(rows, 2, 3)


def pixel_centres(size: tuple[int, int]) -> Tensor:
    """Coordinates of all pixels of `(height, width)`, row by row: `(height * width, 2)` float64."""
    x = torch.arange(size[1], dtype=torch.float64) + 0.5
    y = torch.arange(size[0], dtype=torch.float64) + 0.5
    return torch.stack([x.expand(*size), y[:, None].expand(*size)], dim=-1).flatten(0, 1)
