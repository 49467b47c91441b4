"""Ultrasound's own changes: dB on log-compressed images, along depth and beams; speckle that stays speckle."""

from __future__ import annotations

import math

import pytest
import torch

from usssl.augment import ClipBatch, Seeds, ViewAugmentation
from usssl.augment.echo import Gain, GainParams, SectorMask, Shadow, ShadowParams, TimeGain, TimeGainParams
from usssl.augment.speckle import Speckle, SpeckleParams


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def flat(level=0.5, size=(60, 80)):
    return torch.full((1, 2, 1, *size), level)


def test_six_decibels_of_sixty_are_a_tenth_of_the_grey_scale():
    out = Gain(dynamic_range_db=60).apply(flat(), GainParams(one(6.0)))
    torch.testing.assert_close(out, flat(0.6))


def test_black_stays_black():
    """There is no echo outside the sector that a gain could amplify."""
    assert Gain().apply(flat(0.0), GainParams(one(30.0))).max() == 0
    assert Speckle().apply(flat(0.0), SpeckleParams(one(1.0), torch.tensor([1]))).max() == 0


def test_time_gain_follows_depth_between_its_sliders():
    params = TimeGainParams(torch.tensor([[0.0, 6.0, 0.0]]), one(0.0), one(1.0))
    out = TimeGain(knots=3, dynamic_range_db=60).apply(flat(0.5, (100, 4)), params)[0, 0, 0]
    assert (out == out[:, :1]).all()
    assert out[50, 0].item() == pytest.approx(0.5 + 0.1 * (1 - 0.01), abs=1e-6)  # pixel centre at 50.5 of 100
    assert out[25, 0].item() == pytest.approx(0.5 + 0.1 * 0.255 / 0.5, abs=1e-6)
    assert out[0, 0].item() == pytest.approx(0.5 + 0.1 * 0.005 / 0.5, abs=1e-6)


def test_a_shadow_lies_below_its_top_and_along_its_beam():
    params = ShadowParams(torch.tensor([[0.5, -0.5]]), one(0.1), one(0.05), one(0.5), one(30.0))
    out = Shadow(dynamic_range_db=60).apply(flat(0.8, (100, 100)), params)[0, 0, 0]
    assert (out[:49] == 0.8).all()
    middle = 0.5 + 0.1 * (0.905 + 0.5)
    assert out[90, int(middle * 100)].item() == pytest.approx(0.3, abs=1e-6)
    assert out[90, 30].item() == pytest.approx(0.8)
    wide = (out < 0.79).sum(dim=1)
    assert wide[90] > wide[60] > 0


def test_the_sector_mask_leaves_a_fan():
    clips = flat(0.7, (100, 100))
    op = SectorMask(opening=(0.6, 0.6), depth=(0.9, 0.9), apex=0.3)
    out = op.apply(clips, op.sample(ClipBatch(clips)))[0, 0, 0]
    shown = out > 0
    assert (out[shown] == 0.7).all()
    assert shown[50].sum() < shown[80].sum()
    assert shown[85, 50]
    assert not shown[95].any()
    assert (shown != shown.flip(1)).double().mean() < 0.01
    lowest = shown.int().flip(0).argmax(dim=0)  # the lower end is an arc, deepest in the middle
    assert lowest[50] < lowest[shown[80].nonzero()[0, 0]]


def test_shifts_of_echo_are_tied_to_the_original_frame():
    """A shadow lies on the same anatomy whatever part of the frame the view shows."""
    clips = ClipBatch(flat(0.8, (100, 100)).mul(255).to(torch.uint8))
    shadow = ShadowParams(torch.tensor([[0.5, -0.5]]), one(0.0), one(0.04), one(0.4), one(30.0))
    whole = ViewAugmentation(ops=[Shadow()]).apply(clips, {"shadow": shadow}).pixels
    ops = [{"name": "crop", "size": (50, 60), "centre": True}, Shadow()]
    crop = ViewAugmentation(ops=ops)
    drawn = crop.sample(clips) | {"shadow": shadow}
    torch.testing.assert_close(crop.apply(clips, drawn).pixels, whole[..., 25:75, 20:80], atol=1e-5, rtol=0)


def test_several_shifts_are_one_pass():
    clips = ClipBatch(flat(0.5))
    view = ViewAugmentation(ops=[Gain(), TimeGain(), Shadow(p=1.0)])(clips, Seeds.for_samples(0, 0, [1]))
    step = clips.pixels
    for op, params in zip((Gain(), TimeGain(), Shadow(p=1.0)), view.params.values(), strict=True):
        step = op.apply(step, params)
    torch.testing.assert_close(view.pixels, step, atol=1e-6, rtol=0)


def rayleigh(shape, mean_db=-20.0, seed=0):
    """Log-compressed fully developed speckle of uniform tissue, 60 dB."""
    generator = torch.Generator().manual_seed(seed)
    real, imaginary = (torch.randn(shape, generator=generator) for _ in range(2))
    amplitude = torch.hypot(real, imaginary) * 10 ** (mean_db / 20)
    return (1 + amplitude.log10() / 3).clamp(0, 1), amplitude


def test_speckle_stays_fully_developed():
    """Mean over standard deviation of the amplitude is sqrt(pi / (4 - pi)) = 1.91 before and after, as it changes."""
    clip, before = rayleigh((1, 1, 1, 256, 256))
    expected = math.sqrt(math.pi / (4 - math.pi))
    assert (before.mean() / before.std()).item() == pytest.approx(expected, rel=0.02)
    out = Speckle(grain=0).apply(clip, SpeckleParams(one(1.0), torch.tensor([3])))
    after = 10 ** ((out - 1) * 3)
    assert (after.mean() / after.std()).item() == pytest.approx(expected, rel=0.03)
    assert after.square().mean().item() == pytest.approx(before.square().mean().item(), rel=0.05)
    assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] < 0.8


def test_speckle_of_strength_0_is_the_identity():
    clip, _ = rayleigh((1, 2, 1, 32, 32))
    out = Speckle().apply(clip, SpeckleParams(one(0.0), torch.tensor([3])))
    torch.testing.assert_close(out, clip, atol=1e-5, rtol=0)
