"""Changes of sound: fades, masks, noise and shifts of waveforms, one draw a clip (methods/av_augment, Audio)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from usssl.augment.op import Params, Probability, Range
from usssl.augment.seeds import Seeds

P = TypeVar("P", bound=Params)
Shape = Literal["linear", "quarter_sine", "half_sine", "logarithmic", "exponential"]
SHAPES: tuple[Shape, ...] = ("linear", "quarter_sine", "half_sine", "logarithmic", "exponential")


@dataclass(frozen=True)
class AudioBatch:
    """Sound of equal length and rate, a row a clip.

    Attributes:
        waveform: `(batch, channels, samples)` floating.
        rate: samples a second.
    """

    waveform: Tensor
    rate: float

    def __post_init__(self) -> None:
        if self.waveform.ndim != 3 or 0 in self.waveform.shape or not self.waveform.is_floating_point():
            got = f"{self.waveform.dtype} {tuple(self.waveform.shape)}"
            raise ValueError(f"sound must be floating (batch, channels, samples), got {got}")
        if not self.rate > 0:
            raise ValueError(f"the sampling rate must be positive, got {self.rate}")

    def __len__(self) -> int:
        return len(self.waveform)

    @property
    def samples(self) -> int:
        """Samples in a clip."""
        return self.waveform.shape[-1]


class AudioOp(BaseModel, ABC, Generic[P]):
    """An augmentation of sound, with the same contract as `Op`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @abstractmethod
    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> P:
        """Draws parameters, one row a clip; times in seconds."""

    @abstractmethod
    def apply(self, batch: AudioBatch, params: P) -> AudioBatch:
        """Changes each row by its parameters, into new memory; length and rate are kept."""


@dataclass(frozen=True)
class FadeParams(Params):
    """Drawn fades.

    Attributes:
        fade_in_s: `(batch,)` seconds.
        fade_out_s: `(batch,)` seconds.
        shape: `(batch,)` index into `SHAPES`.
    """

    fade_in_s: Tensor
    fade_out_s: Tensor
    shape: Tensor


class Fade(AudioOp[FadeParams]):
    """Fades in and out, each over a random part of the clip.

    Attributes:
        longest: largest part of the clip for either.
        shapes: curves to draw from.
    """

    name: Literal["fade"] = "fade"
    longest: Annotated[float, Field(ge=0, le=0.5)] = 0.5
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1)] = SHAPES

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> FadeParams:
        """Draws both lengths uniformly, and a curve."""
        seeds = Seeds.of(random, len(batch))
        longest_s = self.longest * batch.samples / batch.rate
        shapes = torch.tensor([SHAPES.index(shape) for shape in self.shapes])
        return FadeParams(
            seeds.uniform("in", 0, longest_s),
            seeds.uniform("out", 0, longest_s),
            shapes[seeds.integers("shape", 0, len(shapes))],
        )

    def apply(self, batch: AudioBatch, params: FadeParams) -> AudioBatch:
        """Multiplies by both curves."""
        seconds = torch.arange(batch.samples, dtype=torch.float64) / batch.rate
        end = (batch.samples - 1) / batch.rate
        rise, fall = _ramp(seconds, params.fade_in_s), _ramp(end - seconds, params.fade_out_s)
        gain = _curve(rise, params.shape) * _curve(fall, params.shape)
        return AudioBatch(batch.waveform * gain[:, None].to(batch.waveform), batch.rate)


def _ramp(seconds: Tensor, length_s: Tensor) -> Tensor:
    """From 0 to 1 within the length of each row; 1 everywhere where that is 0."""
    return torch.where(length_s[:, None] > 0, seconds / length_s[:, None], 1.0).clamp(0, 1)


def _curve(x: Tensor, shape: Tensor) -> Tensor:
    """From 0 to 1 over x in 0..1, by the curve of each row."""
    curves = [
        x,
        torch.sin(x * math.pi / 2),
        0.5 - 0.5 * torch.cos(x * math.pi),
        torch.log10(0.1 + 0.9 * x) + 1,
        x * 2 ** (x - 1),
    ]
    return torch.stack(curves, dim=1)[torch.arange(len(x)), shape]


@dataclass(frozen=True)
class NoiseMaskParams(Params):
    """Drawn masks.

    Attributes:
        start_s: `(batch,)` seconds.
        length_s: `(batch,)` seconds; 0 where nothing is masked.
        seed: `(batch,)` from which the noise is made.
    """

    start_s: Tensor
    length_s: Tensor
    seed: Tensor


class NoiseMask(AudioOp[NoiseMaskParams]):
    """Replaces a run of samples by weak noise.

    Attributes:
        share: of the clip that is masked.
        std: of the noise.
        p: chance.
    """

    name: Literal["noise_mask"] = "noise_mask"
    share: Annotated[float, Field(ge=0, le=1)] = 0.125
    std: Annotated[float, Field(ge=0)] = 0.01
    p: Probability = 0.5

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> NoiseMaskParams:
        """Draws whether and where."""
        seeds = Seeds.of(random, len(batch))
        whole = batch.samples / batch.rate
        length = self.share * whole * seeds.chance("p", self.p).double()
        return NoiseMaskParams(
            seeds.uniform("start") * (whole - self.share * whole), length, seeds.integers("seed", 0, 2**53)
        )

    def apply(self, batch: AudioBatch, params: NoiseMaskParams) -> AudioBatch:
        """Fills the run."""
        seconds = torch.arange(batch.samples, dtype=torch.float64) / batch.rate
        start, length = params.start_s[:, None], params.length_s[:, None]
        masked = ((seconds >= start) & (seconds < start + length))[:, None].to(batch.waveform.device)
        noise = _noise(batch.waveform, params.seed) * self.std
        return AudioBatch(torch.where(masked, noise, batch.waveform), batch.rate)


@dataclass(frozen=True)
class NoiseParams(Params):
    """Drawn noise.

    Attributes:
        snr_db: `(batch,)` power of the sound over that of the noise, dB.
        seed: `(batch,)` from which the noise is made.
    """

    snr_db: Tensor
    seed: Tensor


class Noise(AudioOp[NoiseParams]):
    """Adds white noise at a signal-to-noise ratio; silence stays silent.

    Attributes:
        snr_db: smallest and largest ratio, dB.
    """

    name: Literal["noise"] = "noise"
    snr_db: Range = (0.0, 20.0)

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> NoiseParams:
        """Draws ratios uniformly."""
        seeds = Seeds.of(random, len(batch))
        return NoiseParams(seeds.uniform("snr", *self.snr_db), seeds.integers("seed", 0, 2**53))

    def apply(self, batch: AudioBatch, params: NoiseParams) -> AudioBatch:
        """Adds noise of exactly that power."""
        noise = _noise(batch.waveform, params.seed)
        power = batch.waveform.square().mean(dim=(1, 2), keepdim=True)
        wanted = power / 10 ** (params.snr_db.to(power)[:, None, None] / 10)
        scale = (wanted / noise.square().mean(dim=(1, 2), keepdim=True)).sqrt()
        return AudioBatch(batch.waveform + scale * noise, batch.rate)


@dataclass(frozen=True)
class ShiftParams(Params):
    """Drawn shifts.

    Attributes:
        shift_s: `(batch,)` seconds, positive where the sound comes later.
    """

    shift_s: Tensor


class Shift(AudioOp[ShiftParams]):
    """Moves the sound in time, in whole samples; what is moved in is silent, or what was moved out (`roll`).

    Attributes:
        longest_s: largest shift either way, seconds; above 0.1 the sound no longer belongs to its frames.
        roll: bring in at one end what leaves at the other.
    """

    name: Literal["shift"] = "shift"
    longest_s: Annotated[float, Field(ge=0)] = 0.1
    roll: bool = False

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> ShiftParams:
        """Draws uniformly either way."""
        return ShiftParams(Seeds.of(random, len(batch)).uniform("shift", -self.longest_s, self.longest_s))

    def apply(self, batch: AudioBatch, params: ShiftParams) -> AudioBatch:
        """Moves."""
        by = (params.shift_s * batch.rate).round().long()[:, None]
        source = torch.arange(batch.samples) - by
        inside = (source >= 0) & (source < batch.samples)
        index = (source % batch.samples)[:, None].expand_as(batch.waveform).to(batch.waveform.device)
        moved = batch.waveform.gather(2, index)
        if not self.roll:
            moved = moved * inside[:, None].to(moved)
        return AudioBatch(moved, batch.rate)


def _noise(waveform: Tensor, seeds: Tensor) -> Tensor:
    """White noise of unit variance, each row from its own seed."""
    drawn = [
        torch.randn(waveform.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
        for seed in seeds.tolist()
    ]
    return torch.stack(drawn).to(waveform)
