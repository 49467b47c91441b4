"""The frame preprocessing that goes into every exported graph: find the image, crop, resample, normalise.

The twin of `usssl.cine.sector` in tensor operations that export to ONNX with every axis dynamic: the same law in the
same whole numbers (so the same box to the pixel) and the same resampling weights. Stores for training are prepared by
the numpy side, a bundle runs this one; what was trained is what runs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from usssl.cine import sector


class FramePreprocess(nn.Module):
    """Raw frames of any size to what a model takes.

    Args:
        size: the model's input, (height, width) in pixels.
        mean: grey level, 0 … 1, that becomes 0.
        std: grey levels, 0 … 1, that become 1.
        crop: crop to the image that `content_box` finds; otherwise the whole frame is fitted in.
    """

    def __init__(self, size: tuple[int, int], mean: float, std: float, crop: bool = True) -> None:
        super().__init__()
        if std <= 0:
            raise ValueError(f"std must be above 0, not {std}")
        self.size = (int(size[0]), int(size[1]))
        self.mean = float(mean)
        self.std = float(std)
        self.crop = crop

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Crops, resamples and normalises.

        Args:
            frames: uint8 grey `(batch, time, height, width)` or RGB `(batch, time, height, width, 3)`.

        Returns:
            Normalised float `(batch, time, 1, *size)`, RGB `(batch, time, 3, *size)`, and the windows seen, float
            `(batch, 4)`: x0, y0, x1, y1 in pixels of the original frame.
        """
        boxes = content_boxes(frames) if self.crop else _whole_frame(frames)
        windows = crop_windows(boxes, self.size)
        if frames.ndim == 4:
            return self.normalise(resample(frames, windows, self.size)).unsqueeze(2), windows
        planes = frames.permute(0, 1, 4, 2, 3).flatten(1, 2)
        return self.normalise(resample(planes, windows, self.size)).unflatten(1, (-1, 3)), windows

    def normalise(self, levels: Tensor) -> Tensor:
        """Levels 0 … 255 of any shape and type to the model's scale (float)."""
        return (levels.float() / 255.0 - self.mean) / self.std

    def extra_repr(self) -> str:
        """What `print` shows of the module."""
        return f"size={self.size}, mean={self.mean}, std={self.std}, crop={self.crop}"


def content_boxes(frames: Tensor) -> Tensor:
    """The box of the ultrasound image of each sample: `usssl.cine.sector.content_box` in tensors.

    Args:
        frames: uint8 `(batch, time, height, width)` or `(batch, time, height, width, 3)`.

    Returns:
        int64 `(batch, 4)`: x0, y0, x1, y1, half open, in pixels.
    """
    body = _body(_lit_points(frames))
    x0, x1 = torch.zeros_like(body[:, :1, 0]), torch.full_like(body[:, :1, 0], sector.CELLS)
    cell = torch.arange(sector.CELLS, device=frames.device)[None]
    y0, y1 = x0, x1
    for _ in range(2):
        y0, y1 = _extent((body * _between(cell, x0, x1)[:, None, :]).sum(2), sector.ROW_RUN_SHARE)
        x0, x1 = _extent((body * _between(cell, y0, y1)[:, :, None]).sum(1), sector.COLUMN_RUN_SHARE)
    cells = torch.cat([x0, y0, x1, y1], 1).long()
    whole = _whole_frame(frames)
    box = (2 * cells * whole[:, [2, 3, 2, 3]] + sector.CELLS) // (2 * sector.CELLS)
    area = (cells[:, 3] - cells[:, 1]).clamp(min=0) * (cells[:, 2] - cells[:, 0]).clamp(min=0)
    found = (area >= sector.LEAST_CELLS) & (box[:, 0] < box[:, 2]) & (box[:, 1] < box[:, 3])
    return torch.where(found[:, None], box, whole)


def crop_windows(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The windows of `usssl.cine.sector.crop_window` around the boxes: float `(batch, 4)`."""
    height, width = size
    x0, y0, x1, y1 = boxes.float().unbind(1)
    scale = torch.maximum((x1 - x0) / width, (y1 - y0) / height)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    half_width, half_height = scale * (width / 2), scale * (height / 2)
    return torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], 1)


def resample(frames: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Resamples a window of each sample, antialiased, black outside the frame.

    Returns float grey levels `(batch, time, *size)`.

    Args:
        frames: uint8 `(batch, time, height, width)`.
        windows: float `(batch, 4)`: x0, y0, x1, y1 in pixels of the frames.
        size: (height, width) of the result.
    """
    rows = resample_weights(windows[:, 1], windows[:, 3], size[0], frames.shape[2])
    columns = resample_weights(windows[:, 0], windows[:, 2], size[1], frames.shape[3])
    return torch.matmul(torch.matmul(rows[:, None], frames.float()), columns[:, None].transpose(2, 3))


def resample_weights(start: Tensor, stop: Tensor, out: int, length: int) -> Tensor:
    """The weights `(batch, out, length)` of `usssl.cine.sector.resample_weights` for each interval of the batch."""
    scale = ((stop - start) / out)[:, None, None]
    part = start[:, None, None] + torch.arange(out, device=start.device)[None, :, None] * scale
    centre = part + 0.5 * scale
    source = torch.arange(length, device=start.device)[None, None, :] + 0.5
    triangle = (1.0 - (source - centre).abs() / scale.clamp(min=1.0)).clamp(min=0.0)
    covered = (((part + scale).clamp(max=length) - part.clamp(min=0.0)) / scale).clamp(0.0, 1.0)
    return triangle / triangle.sum(2, keepdim=True).clamp(min=1e-6) * covered


def _whole_frame(frames: Tensor) -> Tensor:
    batch, _, height, width = frames.shape[:4]
    ones = torch.ones(batch, 1, dtype=torch.int64, device=frames.device)
    return torch.cat([ones * 0, ones * 0, ones * width, ones * height], 1)


def _lit_points(frames: Tensor) -> Tensor:
    """How many of the 16 points of each cell are lit: float `(batch, cells, cells)`."""
    cells, points = sector.CELLS, sector.POINTS
    count = cells * points
    grid = 2 * torch.arange(count, device=frames.device) + 1
    rows, columns = grid * frames.shape[2] // (2 * count), grid * frames.shape[3] // (2 * count)
    # Sums of uint8 are whole numbers, exact in float32 up to 65,793 frames.
    points_seen = frames.index_select(2, rows).index_select(3, columns)
    seen = (points_seen if frames.ndim == 4 else luma(points_seen)).float().sum(1)
    lit = (seen > sector.LIT_ABOVE * frames.shape[1]).float()
    return lit.reshape(-1, cells, points, cells, points).sum((2, 4))


def luma(rgb: Tensor) -> Tensor:
    """The grey levels of RGB `(…, 3)`, int32: ITU-R 601 luma, rounded to OpenCV's whole numbers, as in the store."""
    red, green, blue = rgb.int().unbind(-1)
    return (9798 * red + 19235 * green + 3735 * blue + 16384) // 32768


def _body(points: Tensor) -> Tensor:
    """Cells of the image, 0 or 1, float `(batch, cells, cells)`."""
    side = sector.NEIGHBOURHOOD
    body = _share((points >= sector.STRONG_POINTS).float(), side) > 0.5
    core = functional.max_pool2d(
        (_share(body.float(), side) > 1 - 0.5 / side**2).float(), side, stride=1, padding=side // 2
    )
    ground = (body | (points >= sector.WEAK_POINTS)).float()
    for _ in range(sector.GROWTH):
        core = functional.max_pool2d(core, 3, stride=1, padding=1) * ground
    return core


def _share(mask: Tensor, side: int) -> Tensor:
    """The share of the `side` × `side` square around each cell that is set; nothing is outside the grid."""
    return functional.avg_pool2d(mask, side, stride=1, padding=side // 2)


def _extent(profile: Tensor, share: int) -> tuple[Tensor, Tensor]:
    """First and last (half open) of the runs that count, `(batch, 1)` each; (cells, 0) where there is none."""
    on = profile > 0
    run = (~on).long().cumsum(1)
    mass = ((run[:, :, None] == run[:, None, :]).float() * profile[:, None, :]).sum(2)
    kept = on & (share * mass >= mass.amax(1, keepdim=True))
    cell = torch.arange(sector.CELLS, device=profile.device, dtype=profile.dtype)[None]
    first = torch.where(kept, cell, float(sector.CELLS)).amin(1, keepdim=True)
    last = torch.where(kept, cell + 1, 0.0).amax(1, keepdim=True)
    return first, last


def _between(cell: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    return ((cell >= start) & (cell < stop)).float()
