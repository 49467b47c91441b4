"""A batch of clips with the facts that augmentations need: where in the frame, when in the cine, how large in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_UNSET = torch.empty(0)


@dataclass(frozen=True)
class ClipBatch:
    """Clips of equal size and length, a row a clip. Every fact but the pixels has a default that means "not known".

    Attributes:
        pixels: `(batch, time, channels, height, width)`, uint8 in 0..255 or floating in 0..1; 1 (grey) or 3 (RGB)
            channels.
        window: `(batch, 4)` where these frames lie in the original frame: `(x0, y0, x1, y1)` in shares of its width and
            height, so (0, 0, 1, 1) where they are the original frame.
        spacing_mm: `(batch, 2)` height and width of a pixel of these frames in mm; NaN where not known.
        sector: `(batch, 4)` box of the ultrasound image in these frames, `(x0, y0, x1, y1)` in pixels; by default the
            whole frame.
        start_s: `(batch,)` time of the first frame in the cine, seconds.
        step_s: `(batch,)` time from one frame of the clip to the next, seconds; NaN where not known.
        looped: `(batch,)` true where the clip ran past the end of its cine and began anew: its times mean nothing.
    """

    pixels: Tensor
    window: Tensor = field(default=_UNSET)
    spacing_mm: Tensor = field(default=_UNSET)
    sector: Tensor = field(default=_UNSET)
    start_s: Tensor = field(default=_UNSET)
    step_s: Tensor = field(default=_UNSET)
    looped: Tensor = field(default=_UNSET)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 5 or self.pixels.shape[2] not in (1, 3):
            raise ValueError(
                f"clips must be (batch, time, 1 or 3 channels, height, width), got {tuple(self.pixels.shape)}"
            )
        if 0 in self.pixels.shape:
            raise ValueError(f"clips must not be empty, got {tuple(self.pixels.shape)}")
        rows, (height, width) = len(self), self.size
        defaults = {
            "window": torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(rows, 4),
            "spacing_mm": torch.full((rows, 2), torch.nan),
            "sector": torch.tensor([0.0, 0.0, width, height]).expand(rows, 4),
            "start_s": torch.zeros(rows, dtype=torch.float64),
            "step_s": torch.full((rows,), torch.nan, dtype=torch.float64),
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
    def size(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.pixels.shape[3], self.pixels.shape[4]
