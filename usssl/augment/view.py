"""What an augmentation makes of a batch of clips: pixels, and a record of where, when and how they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import Params


@dataclass(frozen=True)
class View:
    """Clips after augmentation, with all that was done to them.

    Attributes:
        pixels: `(batch, time, channels, height, width)` floating, in 0..1 before normalisation.
        facts: of the views, without pixels: `window` is the box of the original frame that a view shows (the smallest
            box around it where it is turned; x0 > x1 where left and right are exchanged, y0 > y1 alike), `spacing_mm`
            that of its pixels, `times_s` those of its frames in the cine. NaN where frames were treated one by one.
        source: facts of the clips that were augmented, without pixels.
        matrices: `(batch, 2, 3)` from pixels of the view to pixels of the source frames; NaN likewise.
        params: what was drawn, by op; one row a clip (one row a frame where frames were treated one by one).
    """

    pixels: Tensor
    facts: ClipBatch
    source: ClipBatch
    matrices: Tensor
    params: Mapping[str, Params]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def box(self) -> Tensor:
        """`(batch, 4)` `(x0, y0, x1, y1)` in shares of the original frame."""
        return self.facts.window

    @property
    def extent_mm(self) -> Tensor:
        """`(batch, 2)` height and width of what a view shows, mm; NaN where the spacing is not known."""
        return self.facts.spacing_mm * torch.tensor(self.facts.size, dtype=torch.float64)

    @property
    def frame_mm(self) -> Tensor:
        """`(batch, 2)` height and width of the whole original frame, mm; NaN where the spacing is not known."""
        share = self.source.window[:, 2:] - self.source.window[:, :2]
        return self.source.spacing_mm * torch.tensor(self.source.size, dtype=torch.float64) / share.flip(1)

    @property
    def start_s(self) -> Tensor:
        """`(batch,)` time of the earliest frame, seconds; NaN where it means nothing."""
        return torch.where(self.facts.looped, torch.nan, self.facts.times_s.amin(dim=1))

    @property
    def step_s(self) -> Tensor:
        """`(batch,)` mean time from frame to frame, seconds, negative in reversed clips; NaN where it means nothing."""
        times = self.facts.times_s
        step = (times[:, -1] - times[:, 0]) / max(1, times.shape[1] - 1)
        known = torch.full_like(self.facts.looped, times.shape[1] > 1) & ~self.facts.looped
        return torch.where(known, step, torch.nan)
