"""Brightness, contrast and gamma of grey clips, one draw a clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import Op, Params
from usssl.augment.seeds import Seeds


@dataclass(frozen=True)
class GreyToneParams(Params):
    """Drawn tones, identity where all are 1.

    Attributes:
        brightness: `(batch,)` factor of the grey value.
        contrast: `(batch,)` factor of the distance from mid-grey.
        gamma: `(batch,)` exponent.
    """

    brightness: Tensor
    contrast: Tensor
    gamma: Tensor


class GreyTone(Op[GreyToneParams]):
    """`clamp(contrast (brightness x - 1/2) + 1/2)^gamma` with x in 0..1, the same on all frames of a clip.

    Attributes:
        brightness: largest relative change either way; 0.25 draws the factor from 0.75..1.25.
        contrast: the same of the contrast.
        gamma: the same of the exponent.
    """

    brightness: float = Field(0.25, ge=0, lt=1)
    contrast: float = Field(0.0, ge=0, lt=1)
    gamma: float = Field(0.25, ge=0, lt=1)

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> GreyToneParams:
        """Draws each factor uniformly from 1 ± its range."""
        seeds = Seeds.of(random, len(batch))
        return GreyToneParams(
            *(seeds.uniform(name, 1 - r, 1 + r) for name, r in self.model_dump().items())  # fields in their order
        )

    def apply(self, clips: Tensor, params: GreyToneParams) -> Tensor:
        """Changes the tone; uint8 clips stay uint8 (rounded), floating ones are in 0..1."""
        working = torch.float32 if clips.dtype == torch.uint8 else clips.dtype
        b, c, g = (
            x.to(clips.device, working)[:, None, None, None, None]
            for x in (params.brightness, params.contrast, params.gamma)
        )
        x = clips.to(working) / (255 if clips.dtype == torch.uint8 else 1)
        y = ((x * b - 0.5) * c + 0.5).clamp_(0, 1).pow_(g)
        return (y * 255).round_().to(torch.uint8) if clips.dtype == torch.uint8 else y
