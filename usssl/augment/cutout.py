"""Parts of a clip replaced by its mean: a run of frames, or a tube through all frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import Params, PixelOp, Stage
from usssl.augment.seeds import Seeds

Intensity = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class TemporalCutoutParams(Params):
    """Drawn runs of frames.

    Attributes:
        first: `(batch,)` first frame of the run.
        length: `(batch,)` frames in it; 0 where nothing is cut.
    """

    first: Tensor
    length: Tensor


class TemporalCutout(PixelOp[TemporalCutoutParams]):
    """Replaces one run of round(r T / 2) frames by the clip's mean colour (methods/av_augment, L3).

    Attributes:
        intensity: r in 0..1; 0 changes nothing.
    """

    stage: ClassVar[Stage] = Stage.CUTOUT
    name: Literal["temporal_cutout"] = "temporal_cutout"
    intensity: Intensity = 0.5

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> TemporalCutoutParams:
        """Draws where the run begins."""
        length = round(self.intensity * batch.frames / 2)
        first = Seeds.of(random, len(batch)).integers("first", 0, batch.frames - length + 1)
        return TemporalCutoutParams(first, torch.full_like(first, length))

    def change(self, unit: Tensor, params: TemporalCutoutParams) -> Tensor:
        """Fills the run."""
        place = torch.arange(unit.shape[1])
        cut = (place >= params.first[:, None]) & (place < (params.first + params.length)[:, None])
        return fill(unit, cut[:, :, None, None, None])


@dataclass(frozen=True)
class TubeCutoutParams(Params):
    """Drawn tubes.

    Attributes:
        box: `(batch, 4)` the part that is cut from every frame, `(x0, y0, x1, y1)` in shares of the frame.
    """

    box: Tensor


class TubeCutout(PixelOp[TubeCutoutParams]):
    """Replaces a box of side round(r H / 2), alike on all frames, by the clip's mean colour (methods/av_augment, L4).

    Attributes:
        intensity: r in 0..1; 0 changes nothing.
    """

    stage: ClassVar[Stage] = Stage.CUTOUT
    name: Literal["tube_cutout"] = "tube_cutout"
    intensity: Intensity = 0.5

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> TubeCutoutParams:
        """Draws the place of the box in whole pixels."""
        seeds = Seeds.of(random, len(batch))
        height, width = batch.size
        side = round(self.intensity * height / 2)
        wide = min(side, width)
        x, y = seeds.integers("x", 0, width - wide + 1), seeds.integers("y", 0, height - side + 1)
        box = torch.stack([x / width, y / height, (x + wide) / width, (y + side) / height], dim=1)
        return TubeCutoutParams(box.double())

    def change(self, unit: Tensor, params: TubeCutoutParams) -> Tensor:
        """Fills the box."""
        height, width = unit.shape[-2:]
        x = (torch.arange(width) + 0.5) / width
        y = (torch.arange(height) + 0.5) / height
        x0, y0, x1, y1 = params.box[:, :, None].unbind(dim=1)
        columns, rows = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
        return fill(unit, (rows[:, :, None] & columns[:, None, :])[:, None, None])


def fill(unit: Tensor, cut: Tensor) -> Tensor:
    """Writes each clip's mean colour where `cut` (broadcastable, bool) is true.

    A constant that does not depend on the clip, such as 0, would mark the hole after normalisation.
    """
    mean = unit.mean(dim=(1, 3, 4), keepdim=True)
    return torch.where(cut.to(unit.device), mean, unit)
