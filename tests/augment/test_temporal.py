"""Changes along time: the numbers of methods/vtdl and methods/av_augment."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.augment import ClipBatch, Seeds, ViewAugmentation
from usssl.augment.blur import gaussian_kernel
from usssl.augment.cutout import TemporalCutout, TubeCutout
from usssl.augment.frames import FrameDrop, FrameParams, Reversal, SegmentJitter, Shuffle
from usssl.augment.temporal import (
    DownUp,
    SpatioTemporalBlur,
    StaticBlend,
    StaticBlendParams,
    TemporalBlur,
    TemporalBlurParams,
    blur_weights,
)

SIGMA_1 = TemporalBlurParams(torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))


def series(values):
    """A clip of one pixel, float64."""
    return torch.tensor(values, dtype=torch.float64)[None, :, None, None, None]


def numbers(clip):
    return clip.flatten().tolist()


def scaled(values, top):
    """In 0..1, as floating clips are."""
    return series([v / top for v in values])


def test_tca_of_vtdl_property_1():
    clip = scaled((0, 1, 4, 9, 16), 16)
    params = StaticBlendParams(torch.tensor([0.1]), torch.tensor([2]))
    mixed = StaticBlend().apply(clip, params)[0, :, 0, 0, 0] * 16
    assert mixed.tolist() == pytest.approx([0.4, 1.3, 4.0, 8.5, 14.8])
    assert mixed.diff().tolist() == pytest.approx([0.9, 2.7, 4.5, 6.3])
    assert mixed.diff(n=2).tolist() == pytest.approx([1.8] * 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0, 1), st.integers(0, 2**31))
def test_tca_scales_every_temporal_derivative(frames, weight, seed):
    generator = torch.Generator().manual_seed(seed)
    clip = torch.rand((1, frames, 1, 3, 4), generator=generator, dtype=torch.float64)
    static = torch.randint(frames, (1,), generator=generator)
    mixed = StaticBlend().apply(clip, StaticBlendParams(torch.tensor([weight], dtype=torch.float64), static))
    for order in range(1, frames):
        torch.testing.assert_close(mixed.diff(n=order, dim=1), (1 - weight) * clip.diff(n=order, dim=1))
    torch.testing.assert_close(mixed[0, static], clip[0, static])  # the static frame is a fixed point


def test_tca_without_weight_is_the_identity_and_its_draws_stay_in_range():
    clip = torch.rand(64, 5, 1, 2, 2)
    assert torch.equal(StaticBlend(alpha=0).apply(clip, StaticBlend(alpha=0).sample(ClipBatch(clip))), clip)
    params = StaticBlend(alpha=0.3).sample(ClipBatch(clip), Seeds.for_samples(0, 0, range(64)))
    assert 0.2 < params.weight.max() < 0.3
    assert set(params.frame.tolist()) == set(range(5))


def test_other_maps_that_vtdl_lists_keep_derivatives():
    """Gain scales them; a fixed spatial map A gives A of them."""
    clip = torch.rand(2, 6, 1, 16, 20) / 2
    seeds = Seeds.for_samples(0, 0, range(2))
    flip = ViewAugmentation(ops=[{"name": "flip", "horizontal": 1.0}])
    torch.testing.assert_close(
        flip(ClipBatch(clip), seeds).pixels.diff(dim=1), clip.diff(dim=1).flip(-1), atol=1e-5, rtol=0
    )
    gain = ViewAugmentation(
        ops=[{"name": "colour_jitter", "brightness": 0.4, "contrast": 0, "saturation": 0, "hue": 0, "p": 1}]
    )
    view = gain(ClipBatch(clip), seeds)
    factor = view.params["colour_jitter"].brightness.float()[:, None, None, None, None]
    torch.testing.assert_close(view.pixels.diff(dim=1), factor * clip.diff(dim=1), atol=1e-5, rtol=0)


def test_kernel_and_impulse_of_av_augment_property_1():
    kernel = gaussian_kernel(torch.ones(1), 2)[0].tolist()
    assert kernel == pytest.approx([0.054489, 0.244201, 0.402620, 0.244201, 0.054489], abs=5e-7)
    blur = TemporalBlur(radius=2)
    impulse = numbers(blur.apply(series((0, 0, 0, 1, 0, 0, 0)), SIGMA_1))
    assert impulse == pytest.approx([0, 0.054489, 0.244201, 0.402620, 0.244201, 0.054489, 0], abs=5e-7)


def test_ramp_of_av_augment_property_1():
    blurred = TemporalBlur(radius=2).apply(scaled(range(7), 6), SIGMA_1) * 6
    assert numbers(blurred) == pytest.approx([0.353179, 1.054489, 2, 3, 4, 4.945511, 5.646821], abs=5e-7)


def test_total_variation_of_av_augment_property_2():
    flicker = TemporalBlur(radius=2).apply(series((0, 1, 0, 1, 0, 1)), SIGMA_1)
    assert flicker.diff(dim=1).abs().sum().item() == pytest.approx(0.511597, abs=5e-7)
    ramp = scaled((0, 1, 2, 3), 3)
    shuffled = Shuffle().apply(ramp, FrameParams(torch.tensor([[2, 0, 3, 1]]))) * 3
    assert (ramp * 3).diff(dim=1).abs().sum().item() == pytest.approx(3)
    assert shuffled.diff(dim=1).abs().sum().item() == pytest.approx(7)


@pytest.mark.parametrize("op", [TemporalBlur, SpatioTemporalBlur, DownUp])
@pytest.mark.parametrize("intensity", [0.2, 0.5, 1.0])
def test_coherent_operators_keep_a_ramp_monotone_and_no_steeper(op, intensity):
    """av_augment, property 2."""
    ramp = torch.linspace(0, 1, 12, dtype=torch.float64)[None, :, None, None, None].expand(1, 12, 1, 5, 5)
    op = op(intensity=intensity)
    steps = op.apply(ramp, op.sample(ClipBatch(ramp))).diff(dim=1)
    assert (steps >= -1e-12).all()
    assert steps.abs().mean() <= ramp.diff(dim=1).abs().mean() + 1e-12


def test_shuffling_is_steeper():
    ramp = torch.linspace(0, 1, 12)[None, :, None, None, None]
    op = Shuffle()
    shuffled = op.apply(ramp, op.sample(ClipBatch(ramp), Seeds.for_samples(0, 0, [0])))
    assert shuffled.diff(dim=1).abs().mean() > 2 * ramp.diff(dim=1).abs().mean()


@pytest.mark.parametrize(
    "op", [TemporalBlur, SpatioTemporalBlur, DownUp, TemporalCutout, TubeCutout, Shuffle, FrameDrop]
)
def test_intensity_0_is_the_identity(op):
    """av_augment, property 6."""
    clip = torch.rand(2, 8, 3, 12, 12)
    op = op(intensity=0)
    assert torch.equal(op.apply(clip, op.sample(ClipBatch(clip))), clip)


def test_constant_clips_are_unchanged_by_blur():
    clip = torch.full((1, 9, 1, 6, 6), 0.37, dtype=torch.float64)
    for op in (TemporalBlur(intensity=1), SpatioTemporalBlur(intensity=1)):
        torch.testing.assert_close(op.apply(clip, op.sample(ClipBatch(clip))), clip)


def test_rows_of_all_temporal_matrices_sum_to_one():
    batch = ClipBatch(torch.zeros(5, 11, 1, 2, 2))
    for op in (StaticBlend(alpha=1), TemporalBlur(intensity=1), DownUp(intensity=1)):
        weights = op.weights(op.sample(batch, Seeds.for_samples(0, 0, range(5))), 11)
        torch.testing.assert_close(weights.sum(dim=2), torch.ones(5, 11, dtype=torch.float64))
        assert (weights >= 0).all()


def test_blur_in_seconds_does_not_depend_on_the_frame_rate():
    op = TemporalBlur(sigma_s=0.1)
    times = torch.arange(16, dtype=torch.float64)[None] / torch.tensor([[10.0], [40.0]])
    params = op.sample(ClipBatch(torch.zeros(2, 16, 1, 2, 2), times_s=times))
    assert params.sigma.tolist() == pytest.approx([1.0, 4.0])
    assert op.sample(ClipBatch(torch.zeros(1, 16, 1, 2, 2))).sigma.tolist() == [0.0]  # times not known


def test_each_clip_has_its_own_reach():
    wide = blur_weights(torch.tensor([0.3, 2.0], dtype=torch.float64), 20)
    assert (wide[0, 10] > 0).sum() == 3
    assert (wide[1, 10] > 0).sum() == 13


def test_down_up_keeps_every_kth_frame():
    clip = torch.rand(1, 10, 1, 3, 3, dtype=torch.float64)
    op = DownUp(intensity=2 / 3)  # k = 3
    out = op.apply(clip, op.sample(ClipBatch(clip)))
    for kept in (0, 3, 6, 9):
        torch.testing.assert_close(out[:, kept], clip[:, kept])
    torch.testing.assert_close(out[:, 4], clip[:, 3] * 2 / 3 + clip[:, 6] / 3)


def test_frame_choices_return_existing_frames_bitwise():
    """av_augment, property 6."""
    clip = torch.randint(0, 256, (4, 12, 1, 6, 6), dtype=torch.uint8)
    for op in (SegmentJitter(frames_out=5), Shuffle(), Reversal(), FrameDrop(intensity=1)):
        params = op.sample(ClipBatch(clip), Seeds.for_samples(0, 0, range(4)))
        out = op.apply(clip, params)
        for row in range(4):
            for place, source in enumerate(params.source[row].tolist()):
                assert torch.equal(out[row, place], clip[row, source])


def test_segment_jitter_increases_strictly():
    op = SegmentJitter(frames_out=5)
    source = op.sample(ClipBatch(torch.zeros(50, 12, 1, 2, 2)), Seeds.for_samples(0, 0, range(50))).source
    assert (source.diff(dim=1) > 0).all()
    assert (source >= torch.tensor([0, 2, 4, 7, 9])).all()
    assert (source < torch.tensor([2, 4, 7, 9, 12])).all()


def test_shuffling_moves_the_chosen_share_and_only_that():
    op = Shuffle(intensity=0.5)
    source = op.sample(ClipBatch(torch.zeros(30, 16, 1, 2, 2)), Seeds.for_samples(0, 0, range(30))).source
    assert ((source != torch.arange(16)).sum(dim=1) == 8).all()
    assert (source.sort(dim=1).values == torch.arange(16)).all()


def test_dropped_frames_repeat_the_one_before():
    source = FrameDrop(intensity=0.6).sample(ClipBatch(torch.zeros(400, 16, 1, 2, 2)), torch.Generator()).source
    dropped = source != torch.arange(16)
    assert not dropped[:, 0].any()
    assert dropped[:, 1:].float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (source.diff(dim=1) >= 0).all()


def test_temporal_cutout_is_one_run_of_the_clips_mean():
    clip = torch.rand(3, 12, 3, 5, 5)
    op = TemporalCutout(intensity=0.5)
    out = op.apply(clip, op.sample(ClipBatch(clip), Seeds.for_samples(0, 0, range(3))))
    mean = clip.mean(dim=(1, 3, 4))[:, None, :, None, None]
    cut = (out - mean).abs().amax(dim=(2, 3, 4)) < 1e-6
    assert (cut.sum(dim=1) == 3).all()  # round(0.5 * 12 / 2)
    places = [row.nonzero()[:, 0] for row in cut]
    assert all((place.diff() == 1).all() for place in places)


def test_tube_cutout_is_the_same_box_in_all_frames():
    clip = torch.rand(3, 7, 1, 40, 50)
    op = TubeCutout(intensity=0.5)
    out = op.apply(clip, op.sample(ClipBatch(clip), Seeds.for_samples(0, 0, range(3))))
    changed = (out != clip)[:, :, 0]
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert (changed[:, 0].sum(dim=(1, 2)) == 10 * 10).all()  # side round(0.5 * 40 / 2)


def test_gradients_pass_through_the_blurs():
    """av_augment, property 6."""
    clip = torch.rand(1, 6, 1, 8, 8, requires_grad=True)
    for op in (TemporalBlur(), SpatioTemporalBlur()):
        params = op.sample(ClipBatch(clip.detach()))
        gradient = torch.autograd.grad(op.apply(clip, params).square().sum(), clip)[0]
        assert (gradient.abs().sum(dim=(0, 2, 3, 4)) > 0).all()


def test_a_shorter_clip_than_segments_is_refused():
    with pytest.raises(ValueError, match=r"ops\.0\.frames_out"):
        ViewAugmentation(ops=[{"name": "segment_jitter", "frames_out": 9}]).check((10, 10), 8)
