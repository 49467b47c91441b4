"""Log-mel spectrograms and masks of time and frequency on them (methods/avbert, Inputs and Augmentation)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from usssl.augment.audio import AudioBatch
from usssl.augment.op import Params
from usssl.augment.seeds import Seeds

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=1)]


class LogMel(BaseModel):
    """`log(eps + mel power spectrum)`.

    Attributes:
        mels: bands.
        n_fft: samples in a window; by default 2 (floor(L / frames) + 1) for a clip of L samples.
        hop: samples from one window to the next; n_fft / 2 by default.
        frames: cut, or padded with silence, to this many.
        low_hz: lower end of the lowest band.
        high_hz: upper end of the highest band; half the rate by default.
        eps: added before the logarithm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mels: Size = 80
    n_fft: Annotated[int, Field(ge=4)] | None = None
    hop: Size | None = None
    frames: Size | None = 128
    low_hz: Annotated[float, Field(ge=0)] = 0.0
    high_hz: Annotated[float, Field(gt=0)] | None = None
    eps: Annotated[float, Field(gt=0)] = 1e-6

    @model_validator(mode="after")
    def _possible(self) -> LogMel:
        if self.n_fft is None and self.frames is None:
            raise ValueError("n_fft: give it where frames does not fix it")
        if self.high_hz is not None and self.high_hz <= self.low_hz:
            raise ValueError(f"high_hz: {self.high_hz:g} does not lie above low_hz ({self.low_hz:g})")
        return self

    def sizes(self, samples: int) -> tuple[int, int]:
        """Window and hop for clips of so many samples."""
        n_fft = self.n_fft or 2 * (samples // (self.frames or 1) + 1)
        return n_fft, self.hop or n_fft // 2

    def __call__(self, batch: AudioBatch) -> Tensor:
        """The spectrograms, `(batch, channels, mels, frames)`."""
        n_fft, hop = self.sizes(batch.samples)
        window = torch.hann_window(n_fft, dtype=batch.waveform.dtype, device=batch.waveform.device)
        flat = batch.waveform.flatten(0, 1)
        if flat.shape[-1] <= n_fft // 2:
            flat = torch.nn.functional.pad(flat, (0, n_fft // 2 + 1 - flat.shape[-1]))
        power = torch.stft(flat, n_fft, hop, window=window, return_complex=True).abs().square()
        bank = mel_bank(self.mels, n_fft, batch.rate, self.low_hz, self.high_hz or batch.rate / 2).to(power)
        mel = (bank @ power).unflatten(0, batch.waveform.shape[:2])
        if self.frames is not None:
            mel = torch.nn.functional.pad(mel, (0, max(0, self.frames - mel.shape[-1])))[..., : self.frames]
        return (mel + self.eps).log()


@lru_cache(maxsize=16)
def mel_bank(mels: int, n_fft: int, rate: float, low_hz: float, high_hz: float) -> Tensor:
    """Triangles that are evenly spaced in mel = 2595 log10(1 + f / 700): `(mels, n_fft // 2 + 1)` float32."""
    edges = torch.linspace(_mel(low_hz), _mel(high_hz), mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (edges / 2595) - 1)
    frequency = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * rate / n_fft
    rise = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0).float()


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


@dataclass(frozen=True)
class SpectrumMaskParams(Params):
    """Drawn masks, in bins.

    Attributes:
        low: `(batch,)` first masked frequency.
        bands: `(batch,)` masked frequencies.
        start: `(batch,)` first masked frame.
        frames: `(batch,)` masked frames.
    """

    low: Tensor
    bands: Tensor
    start: Tensor
    frames: Tensor


class SpectrumMask(BaseModel):
    """One mask of frequencies and one of time; give all segments of a cine the same seeds and they get the same masks.

    Attributes:
        frequency: largest share of the bands that is masked.
        time: largest share of the frames that is masked.
        fill: what masked bins become: the spectrogram's own minimum, or 0 as in the released code of AV-BERT, which is
            louder than silence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["spectrum_mask"] = "spectrum_mask"
    frequency: Share = 0.05
    time: Share = 0.05
    fill: Literal["minimum", "zero"] = "minimum"

    def sample(self, spectra: Tensor, random: Seeds | torch.Generator | None = None) -> SpectrumMaskParams:
        """Draws widths uniformly up to the largest, and places for spectrograms `(batch, channels, bands, frames)`."""
        seeds = Seeds.of(random, len(spectra))
        drawn = []
        for name, share, bins in (
            ("frequency", self.frequency, spectra.shape[2]),
            ("time", self.time, spectra.shape[3]),
        ):
            width = seeds.integers(f"{name} width", 0, int(share * bins) + 1)
            first = (seeds.uniform(name) * (bins - width + 1)).long()
            drawn += [first, width]
        return SpectrumMaskParams(*drawn)

    def apply(self, spectra: Tensor, params: SpectrumMaskParams) -> Tensor:
        """Fills the masked bands and frames."""
        bands, frames = torch.arange(spectra.shape[2]), torch.arange(spectra.shape[3])
        low, width, start, length = (x[:, None] for x in vars(params).values())
        cut_bands = (bands >= low) & (bands < low + width)
        cut_frames = (frames >= start) & (frames < start + length)
        cut = (cut_bands[:, None, :, None] | cut_frames[:, None, None, :]).to(spectra.device)
        fill = (
            spectra.amin(dim=(2, 3), keepdim=True) if self.fill == "minimum" else torch.zeros((), device=spectra.device)
        )
        return torch.where(cut, fill.to(spectra.dtype), spectra)
