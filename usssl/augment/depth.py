"""Change of depth: the scanner shows more or less of what lies under the probe, in mm where the spacing is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import GeometricOp, Params, PositiveRange, Range
from usssl.augment.seeds import Seeds


@dataclass(frozen=True)
class DepthParams(Params):
    """Drawn depths.

    Attributes:
        ratio: `(batch,)` depth shown after over depth shown before; 1 where unchanged.
        depth_mm: `(batch,)` depth of the sector's box that is shown after the change, mm; NaN where not known.
        anchor: `(batch, 2)` where the probe touches, x and y in shares of the frame: it stays in place.
    """

    ratio: Tensor
    depth_mm: Tensor
    anchor: Tensor


class DepthChange(GeometricOp[DepthParams]):
    """Zooms about the middle of the sector's top edge, as a change of the depth setting does.

    Attributes:
        ratio: smallest and largest ratio of the depth shown to that before; above 1, black appears at the other edges.
        change_mm: smallest and largest change of the depth in mm, in place of `ratio`; clips without spacing are not
            changed.
    """

    name: Literal["depth_change"] = "depth_change"
    ratio: PositiveRange = (0.8, 1.0)
    change_mm: Range | None = None

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> DepthParams:
        """Draws uniformly; a depth is never brought below a tenth of what it was."""
        seeds = Seeds.of(random, len(batch))
        x0, y0, x1, y1 = batch.sector.unbind(dim=1)
        before = (y1 - y0) * batch.spacing_mm[:, 0]
        if self.change_mm is None:
            ratio = seeds.uniform("depth", *self.ratio)
        else:
            ratio = 1 + seeds.uniform("depth", *self.change_mm) / before
            ratio = ratio.nan_to_num(1.0).clamp(min=0.1)
        anchor = torch.stack([(x0 + x1) / 2, y0], dim=1) / torch.tensor(batch.size[::-1], dtype=torch.float64)
        return DepthParams(ratio, before * ratio, anchor)

    def matrices(self, params: DepthParams, size: tuple[int, int]) -> Tensor:
        """Scales about the anchor."""
        linear = torch.eye(2, dtype=torch.float64) * params.ratio[:, None, None]
        anchor = params.anchor * torch.tensor(size[::-1], dtype=torch.float64)
        shift = anchor * (1 - params.ratio)[:, None]
        return torch.cat([linear, shift[:, :, None]], dim=2)

    def encode(self, params: DepthParams) -> Tensor:
        """log2 of the ratio: `(batch, 1)`."""
        return params.ratio.log2().float()[:, None]
