"""Noise that is itself speckle: fully developed speckle stays fully developed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.blur import blur
from usssl.augment.op import NonNegativeRange, Params, PixelOp, Stage
from usssl.augment.seeds import Seeds


@dataclass(frozen=True)
class SpeckleParams(Params):
    """Drawn noise.

    Attributes:
        strength: `(batch,)` root mean square of the added echo, relative to that of the tissue around it.
        seed: `(batch,)` from which the pattern is made.
    """

    strength: Tensor
    seed: Tensor


class Speckle(PixelOp[SpeckleParams]):
    """Adds the echo of random scatterers before log compression, and removes the gain in power.

    The amplitude of fully developed speckle is that of a circular complex Gaussian (Rayleigh, mean over standard
    deviation 1.91). So is its sum with another one: the statistics of the speckle are kept while its pattern changes.
    The added pattern is the same in all frames: still tissue stays still.

    Attributes:
        strength: smallest and largest strength; at 1, half of the power is new.
        grain: standard deviation of the pattern's correlation, pixels.
        dynamic_range_db: decibels from black to white.
    """

    stage: ClassVar[Stage] = Stage.ECHO
    name: Literal["speckle"] = "speckle"
    strength: NonNegativeRange = (0.0, 0.5)
    grain: Annotated[float, Field(ge=0, le=10)] = 0.7
    dynamic_range_db: Annotated[float, Field(gt=0, le=200)] = 60.0

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> SpeckleParams:
        """Draws strength and seed."""
        seeds = Seeds.of(random, len(batch))
        return SpeckleParams(seeds.uniform("strength", *self.strength), seeds.integers("seed", 0, 2**53))

    def change(self, unit: Tensor, params: SpeckleParams) -> Tensor:
        """Adds the noise; black stays black."""
        decades = self.dynamic_range_db / 20
        strength = params.strength.to(unit.device, unit.dtype)[:, None, None, None, None]
        amplitude = torch.pow(10, (unit - 1) * decades)
        around = blur(amplitude.square(), torch.full((len(unit),), 4.0), 8)
        real, imaginary = self._pattern(unit, params.seed).unbind(dim=1)
        echo = strength * (around / 2).sqrt()
        noisy = torch.hypot(amplitude + echo * real, echo * imaginary) / (1 + strength.square()).sqrt()
        levels = 1 + noisy.clamp(min=1e-8).log10() / decades
        lit = (unit * 25).clamp(max=1)
        return unit + lit * (levels - unit)

    def _pattern(self, unit: Tensor, seeds: Tensor) -> Tensor:
        """Two independent fields of unit variance a clip: `(batch, 2, 1, 1, height, width)`."""
        size = unit.shape[-2:]
        drawn = [
            torch.randn((2, 1, *size), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
            for seed in seeds.tolist()
        ]
        field = torch.stack(drawn).to(unit.device, unit.dtype)
        if self.grain > 0:
            smooth = blur(field, torch.full((len(field),), self.grain), max(1, round(3 * self.grain)))
            field = smooth / smooth.flatten(3).std(dim=3)[..., None, None]
        return field[:, :, None]
