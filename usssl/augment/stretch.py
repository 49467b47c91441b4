"""Time stretch without a change of pitch, and pitch shift without a change of length, by a phase vocoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.audio import AudioBatch, AudioOp
from usssl.augment.op import Params, PositiveRange
from usssl.augment.seeds import Seeds

_N_FFT, _HOP = 1024, 256


@dataclass(frozen=True)
class StretchParams(Params):
    """Drawn speeds.

    Attributes:
        speed: `(batch,)` 2 plays twice as fast.
    """

    speed: Tensor


class Stretch(AudioOp[StretchParams]):
    """Plays faster or slower at the same pitch; cut, or padded with silence, to the same length.

    Attributes:
        speed: smallest and largest.
    """

    name: Literal["stretch"] = "stretch"
    speed: PositiveRange = (0.5, 1.5)

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> StretchParams:
        """Draws speeds uniformly."""
        return StretchParams(Seeds.of(random, len(batch)).uniform("speed", *self.speed))

    def apply(self, batch: AudioBatch, params: StretchParams) -> AudioBatch:
        """Stretches each row by its speed."""
        rows = [stretched(row, speed) for row, speed in zip(batch.waveform, params.speed.tolist(), strict=True)]
        return AudioBatch(torch.stack([_of_length(row, batch.samples) for row in rows]), batch.rate)


@dataclass(frozen=True)
class PitchParams(Params):
    """Drawn shifts of pitch.

    Attributes:
        semitones: `(batch,)` positive upwards.
    """

    semitones: Tensor


class Pitch(AudioOp[PitchParams]):
    """Shifts the pitch at the same speed.

    Attributes:
        semitones: largest shift either way.
    """

    name: Literal["pitch"] = "pitch"
    semitones: Annotated[float, Field(ge=0, le=24)] = 15.0

    def sample(self, batch: AudioBatch, random: Seeds | torch.Generator | None = None) -> PitchParams:
        """Draws uniformly either way."""
        return PitchParams(Seeds.of(random, len(batch)).uniform("pitch", -self.semitones, self.semitones))

    def apply(self, batch: AudioBatch, params: PitchParams) -> AudioBatch:
        """Stretches by the inverse ratio, then resamples back to the length."""
        rows = []
        for row, semitones in zip(batch.waveform, params.semitones.tolist(), strict=True):
            slow = stretched(row, 2 ** (-semitones / 12))
            rows.append(resampled(slow, batch.samples))
        return AudioBatch(torch.stack(rows), batch.rate)


def stretched(waveform: Tensor, speed: float) -> Tensor:
    """Plays `(channels, samples)` at another speed; the result has samples / speed samples, rounded."""
    samples = waveform.shape[-1]
    window = torch.hann_window(_N_FFT, dtype=waveform.dtype, device=waveform.device)
    padded = torch.nn.functional.pad(waveform, (0, max(0, _N_FFT - samples)))
    spectrum = torch.stft(padded, _N_FFT, _HOP, window=window, return_complex=True)
    moved = vocoded(spectrum, speed, _HOP)
    length = round(samples / speed)
    return _of_length(torch.istft(moved, _N_FFT, _HOP, window=window), length)


def vocoded(spectrum: Tensor, speed: float, hop: int) -> Tensor:
    """Reads a spectrogram `(channels, frequencies, time)` at another speed, with phases that go on smoothly.

    Source: Flanagan and Golden 1966; magnitudes are interpolated, phases advance as they do between frames.
    """
    frequencies, frames = spectrum.shape[-2:]
    steps = torch.arange(0, frames, speed, device=spectrum.device, dtype=torch.float64)
    below = steps.floor().long()
    part = (steps - below).to(spectrum.real.dtype)
    padded = torch.nn.functional.pad(spectrum, (0, 2))
    low, high = padded[..., below], padded[..., below + 1]
    expected = torch.linspace(0, math.pi * hop, frequencies, device=spectrum.device, dtype=part.dtype)[:, None]
    advance = high.angle() - low.angle() - expected
    advance = expected + advance - 2 * math.pi * torch.round(advance / (2 * math.pi))
    # the phases are right at the middle: at the start, where the sound is mirrored, those of neighbouring bins disagree
    middle = len(steps) // 2
    phase = advance.cumsum(dim=-1) - advance
    start = low[..., middle].angle() + part[middle] * advance[..., middle]
    phase = phase + (start - phase[..., middle])[..., None]
    return torch.polar(torch.lerp(low.abs(), high.abs(), part), phase)


def resampled(waveform: Tensor, samples: int) -> Tensor:
    """Brings `(channels, n)` to another number of samples, band-limited (by its Fourier transform)."""
    spectrum = torch.fft.rfft(waveform)
    kept = min(spectrum.shape[-1], samples // 2 + 1)
    out = torch.zeros((*spectrum.shape[:-1], samples // 2 + 1), dtype=spectrum.dtype, device=spectrum.device)
    out[..., :kept] = spectrum[..., :kept]
    return torch.fft.irfft(out, n=samples) * (samples / waveform.shape[-1])


def _of_length(waveform: Tensor, samples: int) -> Tensor:
    return torch.nn.functional.pad(waveform, (0, max(0, samples - waveform.shape[-1])))[..., :samples]
