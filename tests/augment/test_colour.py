"""Colour matrices, tones and the spatial blur."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from usssl.augment import ClipBatch, GreyTone, GreyToneParams, Seeds, ViewAugmentation
from usssl.augment.blur import BlurParams, GaussianBlur
from usssl.augment.colour import (
    ColourJitter,
    Grey,
    GreyParams,
    apply_to_colours,
    compose_colours,
    contrast_matrix,
    hue_matrix,
    mean_colour,
    saturation_matrix,
)
from usssl.augment.tone import Gamma, GammaParams, Solarise, SolariseParams


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def pixel(*rgb, dtype=torch.float64):
    return torch.tensor(rgb, dtype=dtype)[None, None, :, None, None]


def test_contrast_turns_about_the_mean_luma_of_the_clip():
    """methods/cvrl, Pitfalls: a mean of each frame would shift frames against each other."""
    clip = torch.cat([torch.full((1, 1, 1, 4, 4), 0.2), torch.full((1, 1, 1, 4, 4), 0.6)], dim=1)
    op = ColourJitter(brightness=0, contrast=1, saturation=0, hue=0, p=1)
    params = op.sample(ClipBatch(clip), Seeds.for_samples(0, 0, [3]))
    factor = params.contrast.item()
    expected = [0.4 + factor * (0.2 - 0.4), 0.4 + factor * (0.6 - 0.4)]
    assert op.apply(clip, params)[0, :, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_luma_of_the_mean():
    matrix = contrast_matrix(one(0.0), torch.tensor([[1.0, 0.5, 0.25]], dtype=torch.float64))
    luma = 0.299 + 0.587 * 0.5 + 0.114 * 0.25
    assert apply_to_colours(matrix, torch.rand(1, 3, dtype=torch.float64))[0].tolist() == pytest.approx([luma] * 3)


def test_saturation_0_is_grey_and_grey_is_that():
    red = pixel(1.0, 0.0, 0.0)
    assert apply_to_colours(saturation_matrix(one(0.0)), red[:, 0, :, 0, 0])[0].tolist() == pytest.approx([0.299] * 3)
    assert Grey().apply(red, GreyParams(torch.tensor([True]))).flatten().tolist() == pytest.approx([0.299] * 3)
    assert torch.equal(Grey().apply(red, GreyParams(torch.tensor([False]))), red)


def test_hue_keeps_luma_and_grey_and_turns_back():
    colours = torch.rand(50, 3, dtype=torch.float64)
    turn = torch.rand(50, dtype=torch.float64) - 0.5
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    turned = apply_to_colours(hue_matrix(turn), colours)
    torch.testing.assert_close(turned @ luma, colours @ luma, atol=1e-5, rtol=0)
    torch.testing.assert_close(apply_to_colours(hue_matrix(-turn), turned), colours)
    grey = torch.full((50, 3), 0.3, dtype=torch.float64)
    torch.testing.assert_close(apply_to_colours(hue_matrix(turn), grey), grey, atol=1e-5, rtol=0)


def test_hue_turns_as_hsv_does_on_average():
    """The linear turn in YIQ and the textbook turn of HSV agree: a third of a turn brings red near green or blue."""
    for turn in (1 / 3, -1 / 3):
        r, g, b = apply_to_colours(hue_matrix(one(turn)), torch.tensor([[0.6, 0.3, 0.3]], dtype=torch.float64))[
            0
        ].tolist()
        hue = colorsys.rgb_to_hsv(r, g, b)[0]
        assert min(abs(hue - turn % 1), abs(hue + turn % 1 - 1)) < 0.08


def test_several_colour_ops_are_one_matrix():
    """Fused is the same as one after the other, with the contrast's mean carried along."""
    clip = torch.rand(3, 4, 3, 8, 8, dtype=torch.float32) * 0.4 + 0.3
    ops = [
        ColourJitter(brightness=0.1, contrast=0.1, saturation=0.3, hue=0.05, p=1),
        Grey(p=0.5),
        ColourJitter(brightness=0.1, contrast=0.1, saturation=0.3, hue=0.05, p=1),
    ]
    view = ViewAugmentation(ops=ops)(ClipBatch(clip), Seeds.for_samples(0, 0, range(3)))
    step = clip
    for op, params in zip(ops, view.params.values(), strict=True):
        step = op.apply(step, params)
    torch.testing.assert_close(view.pixels, step, atol=1e-5, rtol=0)


def test_the_record_says_about_which_mean_the_contrast_turned():
    clip = torch.rand(2, 3, 3, 8, 8)
    params = ViewAugmentation(ops=[ColourJitter(p=1)])(ClipBatch(clip)).params["colour_jitter"]
    torch.testing.assert_close(params.mean.float(), clip.mean(dim=(1, 3, 4)))


def test_grey_clips_follow_rgb_clips_with_equal_channels():
    grey = torch.randint(0, 256, (3, 4, 1, 16, 16), dtype=torch.uint8)
    ops = [{"name": "colour_jitter", "p": 1.0}, {"name": "grey", "p": 0.5}, {"name": "gamma"}]
    seeds = Seeds.for_samples(0, 0, range(3))
    augmentation = ViewAugmentation(ops=ops)
    one_channel = augmentation(ClipBatch(grey), seeds).pixels
    three = augmentation(ClipBatch(grey.expand(3, 4, 3, 16, 16)), seeds).pixels
    torch.testing.assert_close(one_channel.expand_as(three), three, atol=1e-5, rtol=0)


def test_composition_is_outer_after_inner():
    outer, inner = (torch.rand(4, 3, 4, dtype=torch.float64) for _ in range(2))
    colours = torch.rand(4, 3, dtype=torch.float64)
    expected = apply_to_colours(outer, apply_to_colours(inner, colours))
    torch.testing.assert_close(apply_to_colours(compose_colours(outer, inner), colours), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_colour_of_bytes_and_of_numbers(channels):
    clip = torch.randint(0, 256, (2, 5, channels, 7, 9), dtype=torch.uint8)
    expected = clip.double().mean(dim=(1, 3, 4)).expand(2, 3) / 255
    torch.testing.assert_close(mean_colour(clip), expected)
    torch.testing.assert_close(mean_colour(clip.float() / 255), expected, atol=1e-6, rtol=0)


def test_jitter_is_drawn_from_its_ranges_with_its_chance():
    op = ColourJitter(brightness=0.8, contrast=0.2, saturation=0.5, hue=0.1, p=0.75)
    params = op.sample(ClipBatch(torch.zeros(3000, 1, 3, 1, 1)), Seeds.for_samples(0, 0, range(3000)))
    assert params.brightness.min().item() == pytest.approx(0.2, abs=0.01)
    assert params.brightness.max().item() == pytest.approx(1.8, abs=0.01)
    assert (params.brightness == 1).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert ((params.brightness == 1) == (params.hue == 0)).all()
    assert params.order.sort(dim=1).values.unique(dim=0).tolist() == [[0, 1, 2, 3]]
    assert len(params.order.unique(dim=0)) == 24
    encoded = op.encode(params)
    assert encoded.shape == (3000, 4)
    assert encoded.abs().max() <= 1


def test_tones_by_hand():
    clip = pixel(0.25, 0.5, 0.75)
    assert Gamma().apply(clip, GammaParams(one(2.0))).flatten().tolist() == pytest.approx([0.0625, 0.25, 0.5625])
    solarised = Solarise().apply(clip, SolariseParams(torch.tensor([True])))
    assert solarised.flatten().tolist() == pytest.approx([0.25, 0.5, 0.25])
    tone = GreyTone().apply(clip, GreyToneParams(one(0.8), one(0.5), one(2.0)))
    assert tone.flatten().tolist() == pytest.approx([(0.5 * (0.8 * x - 0.5) + 0.5) ** 2 for x in (0.25, 0.5, 0.75)])


def test_blur_by_hand_and_its_kernel():
    impulse = torch.zeros(1, 1, 1, 11, 11, dtype=torch.float64)
    impulse[..., 5, 5] = 1
    out = GaussianBlur(radius=2).apply(impulse, BlurParams(one(1.0)))[0, 0, 0]
    kernel = [0.054489, 0.244201, 0.402620, 0.244201, 0.054489]
    np.testing.assert_allclose(out[3:8, 3:8].numpy(), np.outer(kernel, kernel), atol=1e-6)


def test_the_radius_of_cvrl():
    """floor((H // 10) / 2): 23 taps at 224."""
    assert 2 * GaussianBlur().reach(224) + 1 == 23
    assert 2 * GaussianBlur().reach(112) + 1 == 11


def test_blur_keeps_constants_and_rows_that_are_not_blurred():
    clip = torch.randint(0, 256, (2, 3, 1, 24, 24), dtype=torch.uint8)
    out = GaussianBlur().apply(clip, BlurParams(torch.tensor([0.0, 1.5])))
    assert torch.equal(out[0], clip[0])
    assert not torch.equal(out[1], clip[1])
    white = torch.full((1, 1, 3, 24, 24), 200, dtype=torch.uint8)
    assert torch.equal(GaussianBlur().apply(white, BlurParams(one(2.0))), white)
