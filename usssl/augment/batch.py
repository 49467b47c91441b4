"""A batch of clips with the facts that augmentations need: where in the frame, when in the cine, how large in mm."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from usssl.augment.geometry import corners, inverse, pixel_centres, transform

_UNSET = torch.empty(0)


@dataclass(frozen=True)
class ClipBatch:
    """Clips of equal size and length, a row a clip. Every fact but the pixels has a default that means "not known".

    Attributes:
        pixels: `(batch, time, channels, height, width)`, uint8 in 0..255 or floating in 0..1; 1 (grey) or 3 (RGB)
            channels. On the meta device the batch has facts only, which is enough to draw parameters.
        window: `(batch, 4)` where these frames lie in the original frame: `(x0, y0, x1, y1)` in shares of its width and
            height, so (0, 0, 1, 1) where they are the original frame.
        spacing_mm: `(batch, 2)` height and width of a pixel of these frames in mm; NaN where not known.
        sector: `(batch, 4)` box of the ultrasound image in these frames, `(x0, y0, x1, y1)` in pixels; by default the
            whole frame.
        times_s: `(batch, time)` when each frame was taken, seconds from the start of the cine; NaN where not known.
        looped: `(batch,)` true where the clip ran past the end of its cine and began anew: its times mean nothing.
    """

    pixels: Tensor
    window: Tensor = field(default=_UNSET)
    spacing_mm: Tensor = field(default=_UNSET)
    sector: Tensor = field(default=_UNSET)
    times_s: Tensor = field(default=_UNSET)
    looped: Tensor = field(default=_UNSET)

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if len(shape) != 5 or shape[2] not in (1, 3):
            raise ValueError(f"clips must be (batch, time, 1 or 3 channels, height, width), got {shape}")
        if 0 in shape:
            raise ValueError(f"clips must hold at least one frame of at least one pixel, got {shape}")
        rows, (height, width) = len(self), self.size
        float64 = torch.float64
        defaults = {
            "window": torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=float64).expand(rows, 4),
            "spacing_mm": torch.full((rows, 2), torch.nan, dtype=float64),
            "sector": torch.tensor([0.0, 0.0, width, height], dtype=float64).expand(rows, 4),
            "times_s": torch.full((rows, self.frames), torch.nan, dtype=float64),
            "looped": torch.zeros(rows, dtype=torch.bool),
        }
        for name, default in defaults.items():
            value = getattr(self, name)
            value = default if value is _UNSET else value.to("cpu", default.dtype)
            if value.shape != default.shape:
                raise ValueError(f"{name} must have the shape {tuple(default.shape)}, got {tuple(value.shape)}")
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.pixels.shape[2]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.pixels.shape[3], self.pixels.shape[4]

    def in_original(self, points: Tensor) -> Tensor:
        """Brings points `(batch, count, 2)` from pixels of these frames to shares of the original frame."""
        extent = self.window[:, 2:] - self.window[:, :2]
        per_pixel = extent / torch.tensor(self.size[::-1], dtype=torch.float64)
        return points * per_pixel[:, None] + self.window[:, None, :2]

    def facts(self) -> Self:
        """The same facts without pixels."""
        return replace(self, pixels=self.pixels.to("meta"))

    def seen_through(self, matrices: Tensor, size: tuple[int, int]) -> Self:
        """The facts of the views that `matrices` show of these frames.

        Args:
            matrices: `(batch, 2, 3)` from pixels of the view to pixels of these frames.
            size: height and width of the view.
        """
        rows = len(self)
        window = bounding_box(self.in_original(transform(matrices, corners(size, rows))))
        window = torch.where((matrices[:, 0, 0] < 0)[:, None], window[:, [2, 1, 0, 3]], window)
        window = torch.where((matrices[:, 1, 1] < 0)[:, None], window[:, [0, 3, 2, 1]], window)
        steps = (matrices[:, :, :2] * self.spacing_mm.flip(1)[:, :, None]).norm(dim=1)
        sector = bounding_box(transform(inverse(matrices), corners_of(self.sector)))
        limit = torch.tensor([size[1], size[0]] * 2, dtype=torch.float64)
        return replace(
            self,
            pixels=torch.empty((rows, self.frames, self.channels, *size), dtype=self.pixels.dtype, device="meta"),
            window=window,
            spacing_mm=steps.flip(1),
            sector=torch.minimum(sector.clamp(min=0), limit),
        )

    def per_frame(self) -> Self:
        """Each frame as a clip of its own, for the controls that treat frames independently."""
        frames = self.frames

        def repeated(fact: Tensor) -> Tensor:
            return fact.repeat_interleave(frames, dim=0)

        return replace(
            self,
            pixels=self.pixels.flatten(0, 1).unsqueeze(1),
            window=repeated(self.window),
            spacing_mm=repeated(self.spacing_mm),
            sector=repeated(self.sector),
            times_s=self.times_s.flatten()[:, None],
            looped=repeated(self.looped),
        )


def places(source: ClipBatch, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each pixel of a view lies in the original frame.

    Args:
        source: the clips that the view shows.
        matrices: `(batch, 2, 3)` from pixels of the view to pixels of the source.
        size: height and width of the view.

    Returns:
        `(batch, height, width, 2)` float32, x and y in shares of the original frame.
    """
    inside = transform(matrices, pixel_centres(size).expand(len(source), -1, 2))
    return source.in_original(inside).float().unflatten(1, size)


def bounding_box(points: Tensor) -> Tensor:
    """The smallest `(x0, y0, x1, y1)` around each row's points: `(batch, count, 2)` to `(batch, 4)`."""
    return torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)


def corners_of(boxes: Tensor) -> Tensor:
    """The corners of boxes `(batch, 4)`: top left, top right, bottom right, bottom left; `(batch, 4, 2)`."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(1, (4, 2))
