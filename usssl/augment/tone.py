"""Curves of grey levels: brightness, contrast and gamma of grey clips, gamma alone, solarising. One draw a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import Params, PixelOp, PositiveRange, Probability
from usssl.augment.pixels import a_row
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


class GreyTone(PixelOp[GreyToneParams]):
    """`clamp(contrast (brightness x - 1/2) + 1/2)^gamma` with x in 0..1, the same on all frames of a clip.

    Attributes:
        brightness: largest relative change either way; 0.25 draws the factor from 0.75..1.25.
        contrast: the same of the contrast.
        gamma: the same of the exponent.
    """

    name: Literal["grey_tone"] = "grey_tone"
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.25
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.25

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> GreyToneParams:
        """Draws each factor uniformly from 1 ± its range."""
        seeds = Seeds.of(random, len(batch))
        ranges = (("brightness", self.brightness), ("contrast", self.contrast), ("gamma", self.gamma))
        return GreyToneParams(*(seeds.uniform(name, 1 - r, 1 + r) for name, r in ranges))

    def encode(self, params: GreyToneParams) -> Tensor:
        """The three changes, each divided by its range: `(batch, 3)` in [-1, 1]; 0 where its range is a point."""
        ranges = torch.tensor([self.brightness, self.contrast, self.gamma], dtype=torch.float64)
        changes = torch.stack([params.brightness, params.contrast, params.gamma], dim=1) - 1
        return (changes / ranges.where(ranges > 0, torch.inf)).float()

    def change(self, unit: Tensor, params: GreyToneParams) -> Tensor:
        """Changes the tone in place."""
        contrast = a_row(params.contrast, unit)
        unit.mul_(a_row(params.brightness, unit) * contrast).add_(0.5 - 0.5 * contrast)
        return unit.clamp_(0, 1).pow_(a_row(params.gamma, unit))


@dataclass(frozen=True)
class GammaParams(Params):
    """Drawn exponents.

    Attributes:
        gamma: `(batch,)`, identity where 1.
    """

    gamma: Tensor


class Gamma(PixelOp[GammaParams]):
    """`x^gamma` with x in 0..1.

    Attributes:
        gamma: smallest and largest exponent.
    """

    name: Literal["gamma"] = "gamma"
    gamma: PositiveRange = (0.75, 1.25)

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> GammaParams:
        """Draws exponents uniformly."""
        return GammaParams(Seeds.of(random, len(batch)).uniform("gamma", *self.gamma))

    def encode(self, params: GammaParams) -> Tensor:
        """log2 of the exponent: `(batch, 1)`."""
        return params.gamma.log2().float()[:, None]

    def change(self, unit: Tensor, params: GammaParams) -> Tensor:
        """Raises to the power in place."""
        return unit.clamp_(0, 1).pow_(a_row(params.gamma, unit))


@dataclass(frozen=True)
class SolariseParams(Params):
    """Drawn inversions of the bright half.

    Attributes:
        solarised: `(batch,)`.
    """

    solarised: Tensor


class Solarise(PixelOp[SolariseParams]):
    """`1 - x` where x reaches the threshold, else x (methods/cvrl).

    Attributes:
        threshold: in 0..1.
        p: chance.
    """

    name: Literal["solarise"] = "solarise"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    p: Probability = 0.2

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> SolariseParams:
        """Draws which clips are solarised."""
        return SolariseParams(Seeds.of(random, len(batch)).chance("solarise", self.p))

    def change(self, unit: Tensor, params: SolariseParams) -> Tensor:
        """Inverts the bright half."""
        chosen = params.solarised.to(unit.device)[:, None, None, None, None]
        return torch.where(chosen & (unit >= self.threshold), 1 - unit, unit)
