"""Changes of sound, and log-mel spectrograms: methods/avbert and methods/av_augment."""

from __future__ import annotations

import math

import pytest
import torch

from usssl.augment.audio import AudioBatch, Fade, FadeParams, Noise, NoiseMask, NoiseParams, Shift, ShiftParams
from usssl.augment.mel import LogMel, SpectrumMask, mel_bank
from usssl.augment.seeds import Seeds
from usssl.augment.stretch import Pitch, PitchParams, Stretch, StretchParams

RATE = 16000
OPS = [Fade(), NoiseMask(p=1.0), Noise(), Shift(), Shift(roll=True), Stretch(), Pitch()]


def tone(hz=440.0, seconds=0.5, rows=3, channels=2):
    t = torch.arange(int(seconds * RATE)) / RATE
    return AudioBatch(torch.sin(2 * math.pi * hz * t).expand(rows, channels, -1).clone(), RATE)


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def pitch(waveform):
    """Frequency of the strongest line, Hz."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs()
    return spectrum.argmax().item() * RATE / len(middle)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_keeps_shape_and_input_and_repeats(op):
    batch = tone()
    before = batch.waveform.clone()
    seeds = Seeds.for_samples(0, 0, range(3))
    params = op.sample(batch, seeds)
    out = op.apply(batch, params)
    assert out.waveform.shape == batch.waveform.shape
    assert out.rate == RATE
    assert torch.isfinite(out.waveform).all()
    assert torch.equal(batch.waveform, before)
    assert torch.equal(op.apply(batch, op.sample(batch, seeds)).waveform, out.waveform)
    assert len(params) == 3
    alone = AudioBatch(batch.waveform[1:2], RATE)
    part = op.apply(alone, op.sample(alone, Seeds.for_samples(0, 0, [1]))).waveform
    torch.testing.assert_close(part, out.waveform[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", range(5))
def test_fades_rise_from_nothing_to_all(shape):
    batch = AudioBatch(torch.ones(1, 1, 1001), 1000)
    out = Fade().apply(batch, FadeParams(one(0.4), one(0.0), torch.tensor([shape]))).waveform[0, 0]
    assert out[0].item() == pytest.approx(0.0, abs=1e-6)
    assert (out.diff() >= -1e-6).all()
    assert (out[400:] == 1).all()
    half = [0.5, math.sqrt(0.5), 0.5, math.log10(0.55) + 1, 0.5 / math.sqrt(2)][shape]
    assert out[200].item() == pytest.approx(half, abs=1e-4)


def test_fades_out_mirror_fades_in():
    batch = AudioBatch(torch.ones(1, 1, 501), 1000)
    rise = Fade().apply(batch, FadeParams(one(0.2), one(0.0), torch.tensor([1]))).waveform
    fall = Fade().apply(batch, FadeParams(one(0.0), one(0.2), torch.tensor([1]))).waveform
    torch.testing.assert_close(rise, fall.flip(-1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0])
def test_noise_has_exactly_its_power(snr):
    batch = tone(rows=1)
    noise = Noise().apply(batch, NoiseParams(one(snr), torch.tensor([7]))).waveform - batch.waveform
    ratio = batch.waveform.square().mean() / noise.square().mean()
    assert 10 * ratio.log10().item() == pytest.approx(snr, abs=1e-3)


def test_silence_stays_silent_under_noise():
    silent = AudioBatch(torch.zeros(1, 1, 100), RATE)
    assert Noise().apply(silent, NoiseParams(one(0.0), torch.tensor([7]))).waveform.abs().max() == 0


def test_an_eighth_is_masked_by_weak_noise():
    batch = AudioBatch(torch.ones(1, 1, 80000), RATE)
    op = NoiseMask(p=1.0)
    out = op.apply(batch, op.sample(batch, Seeds.for_samples(0, 0, [0]))).waveform[0, 0]
    masked = out != 1
    assert masked.double().mean().item() == pytest.approx(0.125, abs=1e-3)
    assert masked.nonzero()[:, 0].diff().eq(1).all()
    assert out[masked].std().item() == pytest.approx(0.01, rel=0.05)


def test_shifts_are_bounded_and_move_whole_samples():
    batch = AudioBatch(torch.arange(10.0)[None, None], 10)
    later = Shift().apply(batch, ShiftParams(one(0.2))).waveform[0, 0]
    assert later.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    rolled = Shift(roll=True).apply(batch, ShiftParams(one(-0.3))).waveform[0, 0]
    assert rolled.tolist() == [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    drawn = Shift().sample(tone(rows=1), Seeds.for_samples(0, 0, [0])).shift_s
    assert drawn.abs().max() <= 0.1


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.4])
def test_stretching_keeps_the_pitch(speed):
    batch = tone(1000.0, seconds=1.0, rows=1, channels=1)
    out = Stretch().apply(batch, StretchParams(one(speed))).waveform[0, 0]
    length = min(len(out), round(len(out) / speed))
    assert pitch(out[:length]) == pytest.approx(1000, abs=4)
    assert out[length + 600 :].abs().max() < 1e-3 if length + 600 < len(out) else True
    assert out[1000 : length - 1000].abs().max().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("semitones", [-12.0, -5.0, 0.0, 7.0])
def test_pitch_shifts_by_semitones(semitones):
    batch = tone(1000.0, seconds=1.0, rows=1, channels=1)
    out = Pitch().apply(batch, PitchParams(one(semitones))).waveform[0, 0]
    assert pitch(out) == pytest.approx(1000 * 2 ** (semitones / 12), rel=0.005)


def test_sizes_of_avbert():
    """L = 94080 samples: n_fft 1472, hop 736, 128 frames of 80 bands."""
    log_mel = LogMel()
    assert log_mel.sizes(int(44100 * 64 / 30)) == (1472, 736)
    spectrum = log_mel(AudioBatch(torch.randn(1, 1, 94080), 44100))
    assert spectrum.shape == (1, 1, 80, 128)


def test_251_frames_of_two_seconds():
    """methods/av_augment: 16 kHz, n_fft 2048, hop 128, 128 bands, 40 to 8000 Hz."""
    log_mel = LogMel(mels=128, n_fft=2048, hop=128, frames=None, low_hz=40, high_hz=8000)
    assert log_mel(AudioBatch(torch.randn(2, 1, 32000), 16000)).shape == (2, 1, 128, 251)


def test_silence_is_the_logarithm_of_eps():
    assert LogMel()(AudioBatch(torch.zeros(1, 1, 8000), 16000)).unique().tolist() == pytest.approx([math.log(1e-6)])


def test_a_tone_lies_in_its_band():
    """By hand: edges of band k are k and k + 2 of 82 points spaced evenly in 2595 log10(1 + f / 700)."""
    spectrum = LogMel()(tone(1000.0, rows=1, channels=1))[0, 0].mean(dim=1)
    top = 2595 * math.log10(1 + 8000 / 700)
    expected = 2595 * math.log10(1 + 1000 / 700) / (top / 81) - 1
    assert abs(spectrum.argmax().item() - expected) <= 0.6


def test_mel_bands_are_triangles_of_height_one_that_overlap_by_half():
    bank = mel_bank(20, 4096, 16000, 0, 8000)
    assert bank.max().item() == pytest.approx(1, abs=0.02)
    inside = bank.sum(dim=0)[80:-300]  # between the centres of the first and the last band
    assert inside.min().item() == pytest.approx(1, abs=1e-5)
    assert inside.max().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("fill", ["minimum", "zero"])
def test_spectrum_masks_are_narrow_and_alike_for_alike_seeds(fill):
    spectra = torch.rand(200, 1, 80, 128) - 5
    op = SpectrumMask(fill=fill)
    params = op.sample(spectra, Seeds.for_samples(0, 0, range(200)))
    assert params.bands.max() == 4
    assert params.frames.max() == 6
    out = op.apply(spectra, params)
    changed = out != spectra
    value = spectra.amin(dim=(2, 3), keepdim=True) if fill == "minimum" else torch.zeros(200, 1, 1, 1)
    assert (out == value)[changed].all()
    segment = op.apply(spectra.flip(0), params)  # other segments, same seeds: the same bins
    assert torch.equal((segment != spectra.flip(0)).any(dim=3), changed.any(dim=3)) or fill == "minimum"


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Stretch(speed=(1.5, 0.5)), "speed"),
        (lambda: Noise(snr_db=(0, math.nan)), "snr_db"),
        (lambda: Fade(longest=0.7), "longest"),
        (lambda: LogMel(low_hz=900, high_hz=100), "high_hz"),
        (lambda: LogMel(frames=None), "n_fft"),
        (lambda: AudioBatch(torch.zeros(1, 1, 0), RATE), "sound"),
        (lambda: AudioBatch(torch.zeros(1, 1, 4), 0), "rate"),
    ],
)
def test_impossible_arguments_are_refused(build, key):
    with pytest.raises(ValueError, match=key):
        build()
