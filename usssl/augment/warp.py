"""One resampling of whole clips by affine maps, straight from the source frames.

Two back ends give the same picture: OpenCV's fixed-point remapping for uint8 clips on the CPU, torch's `grid_sample`
for everything else. Where a map shrinks, an output pixel is the mean of several bilinear samples, at most 1.25 source
pixels apart. A bilinear sample is a tent two pixels wide: at that distance it lets 6 % through of what would alias to a
constant.
"""

from __future__ import annotations

import math
from collections import defaultdict

import cv2
import numpy as np
import torch
from torch import Tensor

from usssl.augment.geometry import corners, pixel_centres, transform
from usssl.augment.threads import spread

_MAX_TAPS = 8
_REACH = 1.25
_PLANES = 4
"""OpenCV moves four planes as fast as one."""
_CHUNK_BYTES = 2**28
"""Of source frames that are held in floating point at a time on an accelerator."""

Taps = tuple[int, int]


def warp(clips: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Resamples clips, each frame of a clip by the same map; what lies outside a frame is black.

    Args:
        clips: `(batch, time, channels, height, width)`, uint8 or floating, on any device.
        matrices: `(batch, 2, 3)` from pixels of the output to pixels of the source (see `geometry`).
        size: height and width of the output.

    Returns:
        `(batch, time, channels, *size)` of the same dtype; uint8 is rounded.
    """
    matrices = matrices.detach().to("cpu", torch.float64)
    if clips.dtype == torch.uint8 and clips.device.type == "cpu" and max(clips.shape[-2:]) < 2**15:
        return _warp_bytes(clips, matrices, size)
    return warp_float(clips, matrices, size)


def warp_float(clips: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """What `warp` does, by `grid_sample` in floating point on the device of the clips."""
    matrices = matrices.detach().to("cpu", torch.float64)
    flat = clips.flatten(1, 2)
    out = torch.empty((*flat.shape[:2], *size), dtype=clips.dtype, device=clips.device)
    working = torch.float64 if clips.dtype == torch.float64 else torch.float32
    on_cpu = clips.device.type == "cpu"
    chunk = 1 if on_cpu else max(1, _CHUNK_BYTES // (4 * flat[0].numel()))
    for (taps, inside), rows in _alike(matrices, size, (clips.shape[-2], clips.shape[-1])).items():
        for some in torch.tensor(rows).split(chunk):
            frames = flat[some.to(flat.device)].to(working)
            mean = _sampled(frames, matrices[some], size, taps, inside)
            out[some.to(out.device)] = (mean.round_() if clips.dtype == torch.uint8 else mean).to(out.dtype)
    return out.unflatten(1, clips.shape[1:3])


def _sampled(frames: Tensor, matrices: Tensor, size: tuple[int, int], taps: Taps, inside: bool) -> Tensor:
    """The mean of `taps` samples a pixel of `(rows, planes, height, width)`."""
    extent = torch.tensor([frames.shape[-1], frames.shape[-2]], dtype=torch.float64)
    total: Tensor | None = None
    for j in range(taps[1]):
        for i in range(taps[0]):
            offset = torch.tensor([(i + 0.5) / taps[0], (j + 0.5) / taps[1]], dtype=torch.float64)
            points = pixel_centres(size) + (offset - 0.5)
            at = transform(matrices, points.expand(len(matrices), -1, 2)) / (extent / 2) - 1
            grid = at.unflatten(1, size).to(frames.device, frames.dtype)
            padding = "border" if inside else "zeros"
            sample = torch.nn.functional.grid_sample(frames, grid, padding_mode=padding, align_corners=False)
            total = sample if total is None else total.add_(sample)
    assert total is not None
    return total.div_(taps[0] * taps[1])


def _warp_bytes(clips: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    source = clips.contiguous().flatten(1, 2).numpy()
    out = torch.empty((*clips.shape[:3], *size), dtype=torch.uint8)
    target = out.flatten(1, 2).numpy()
    extent = (clips.shape[-2], clips.shape[-1])
    inside = _inside(matrices, size, extent).tolist()

    def one(row: int) -> None:
        matrix = matrices[row].numpy()
        taps = _taps(matrices[row])
        maps = _fixed_point_maps(matrix, size, taps, extent)
        border = cv2.BORDER_REPLICATE if inside[row] else cv2.BORDER_CONSTANT
        merged: np.ndarray | None = None
        moved: np.ndarray | None = None
        for first in range(0, source.shape[1], _PLANES):
            merged = cv2.merge(four(source[row], first), merged)
            moved = cv2.remap(merged, *maps, cv2.INTER_LINEAR, moved, border)
            shrunk = moved if taps == (1, 1) else cv2.resize(moved, size[::-1], interpolation=cv2.INTER_AREA)
            cv2.split(shrunk, four(target[row], first))

    spread(one, range(len(clips)))
    return out


def four(planes: np.ndarray, first: int) -> list[np.ndarray]:
    """Four planes from `first` on, the last one as often as needed: OpenCV rounds otherwise for fewer channels."""
    some = list(planes[first : first + _PLANES])
    return some + [some[-1]] * (_PLANES - len(some))


def _fixed_point_maps(
    matrix: np.ndarray, size: tuple[int, int], taps: Taps, extent: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's integer maps for all samples; its coordinates count from the centre of the first pixel."""
    x = (np.arange(size[1] * taps[0]) + 0.5) / taps[0]
    y = (np.arange(size[0] * taps[1]) + 0.5)[:, None] / taps[1]
    at = []
    for axis, limit in ((0, extent[1]), (1, extent[0])):
        along = matrix[axis, 0] * x - 0.5
        across = matrix[axis, 1] * y + matrix[axis, 2]
        places = np.add(along, across, dtype=np.float32)
        at.append(np.clip(places, -2, limit + 1, out=places))
    return cv2.convertMaps(at[0], at[1], cv2.CV_16SC2)


def _alike(matrices: Tensor, size: tuple[int, int], source: tuple[int, int]) -> dict[tuple[Taps, bool], list[int]]:
    """The rows that can be resampled together."""
    groups: dict[tuple[Taps, bool], list[int]] = defaultdict(list)
    for row, inside in enumerate(_inside(matrices, size, source).tolist()):
        groups[_taps(matrices[row]), inside].append(row)
    return groups


def _inside(matrices: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """Bool `(batch,)`: the view shows nothing from outside the frame, so that its edges need not fade to black."""
    seen = transform(matrices, corners(size, len(matrices)))
    limit = torch.tensor([source[1], source[0]], dtype=torch.float64)
    return ((seen >= -1e-4) & (seen <= limit + 1e-4)).all(dim=(1, 2))


def _taps(matrix: Tensor) -> Taps:
    """Samples an output pixel along its x and its y, so that they lie no more than `_REACH` source pixels apart."""
    steps = torch.linalg.vector_norm(matrix[:, :2], dim=0).tolist()
    along_x, along_y = (min(_MAX_TAPS, max(1, math.ceil(step / _REACH - 1e-6))) for step in steps)
    return along_x, along_y
