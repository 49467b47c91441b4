"""One resampling of whole clips by affine maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from usssl.augment.geometry import corners, transform

_MAX_TAPS = 8


def warp(clips: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Resamples clips, each frame of a clip by the same map, bilinearly; what lies outside a frame is black.

    Where the map shrinks, each output pixel is the mean of as many samples along each axis as source pixels fall to it.

    Args:
        clips: `(batch, time, channels, height, width)`, uint8 or floating.
        matrices: `(batch, 2, 3)` from pixels of the output to pixels of the source (see `geometry`).
        size: height and width of the output.

    Returns:
        `(batch, time, channels, *size)` of the same dtype; uint8 is rounded.
    """
    flat = clips.flatten(1, 2)
    out = torch.empty((*flat.shape[:2], *size), dtype=clips.dtype, device=clips.device)
    working = torch.float32 if clips.dtype == torch.uint8 else clips.dtype
    inside = _inside(matrices, size, (clips.shape[-2], clips.shape[-1])).tolist()
    for row, matrix in enumerate(matrices.double()):
        taps = _taps(matrix)
        frames = flat[row].to(working)
        samples = [_bilinear(frames, matrix, size, offset, inside[row]) for offset in _offsets(taps)]
        mean = torch.stack(samples).mean(dim=0)
        out[row] = mean.round() if clips.dtype == torch.uint8 else mean
    return out.unflatten(1, clips.shape[1:3])


def _inside(matrices: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """Bool `(batch,)`: the view shows nothing from outside the frame, so that its edges need not fade to black."""
    seen = transform(matrices.double(), corners(size, len(matrices)))
    limit = torch.tensor([source[1], source[0]], dtype=torch.float64)
    return ((seen >= -1e-4) & (seen <= limit + 1e-4)).all(dim=(1, 2))


def _taps(matrix: Tensor) -> tuple[int, int]:
    """Samples an output pixel along its x and its y: source pixels that one step crosses, rounded up."""
    steps = torch.linalg.vector_norm(matrix[:, :2], dim=0).tolist()
    along_x, along_y = (min(_MAX_TAPS, max(1, math.ceil(step - 1e-6))) for step in steps)
    return along_x, along_y


def _offsets(taps: tuple[int, int]) -> list[tuple[float, float]]:
    return [((i + 0.5) / taps[0], (j + 0.5) / taps[1]) for j in range(taps[1]) for i in range(taps[0])]


def _bilinear(
    frames: Tensor, matrix: Tensor, size: tuple[int, int], offset: tuple[float, float], inside: bool
) -> Tensor:
    """Samples `(planes, height, width)` at every output pixel's `offset` (0..1 within it)."""
    x = torch.arange(size[1], dtype=torch.float64) + offset[0]
    y = torch.arange(size[0], dtype=torch.float64) + offset[1]
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)
    at = grid @ matrix[:, :2].mT + matrix[:, 2]
    height, width = frames.shape[-2:]
    at = at / torch.tensor([width / 2, height / 2], dtype=torch.float64) - 1
    at = at.to(frames.device, frames.dtype)
    padding = "border" if inside else "zeros"
    return torch.nn.functional.grid_sample(frames[None], at[None], padding_mode=padding, align_corners=False)[0]
