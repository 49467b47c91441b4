"""The `augment:` block: presets as the pages have them, switches, and what is refused with the key's name."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from usssl.augment import AugmentArguments, ClipBatch, Seeds, ViewAugmentation
from usssl.augment.presets import PRESETS

SIZE = (56, 56)
PRESET_NAMES = sorted(PRESETS)


def clips(channels=1, frames=8):
    pixels = torch.randint(0, 256, (2, frames, channels, 96, 128), dtype=torch.uint8)
    return ClipBatch(pixels, times_s=torch.arange(frames, dtype=torch.float64).expand(2, frames))


def ops_of(**block):
    """For each view, its ops by name."""
    return [{op.name: op for op in view.ops} for view in AugmentArguments(size=SIZE, **block).build()]


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("consistent", [True, False])
def test_every_preset_makes_views(preset, consistent):
    arguments = AugmentArguments(preset=preset, size=SIZE, consistent=consistent)
    arguments.check((96, 128), 8)
    for place, augmentation in enumerate(arguments.build()):
        view = augmentation(clips(), Seeds.for_samples(0, 0, range(2), place))
        assert view.pixels.shape == (2, 8, 1, *SIZE)
        assert torch.isfinite(view.pixels).all()


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_block_survives_being_written_and_read(preset):
    arguments = AugmentArguments(preset=preset, size=SIZE)
    assert AugmentArguments.model_validate_json(arguments.model_dump_json()) == arguments
    for view in arguments.build():
        assert ViewAugmentation.model_validate_json(view.model_dump_json()) == view


def test_cvrl_is_the_table_of_its_page():
    first, second = ops_of(preset="cvrl", ultrasound=False)
    for view in (first, second):
        assert view["resized_crop"].area == (0.3, 1.0)
        assert view["resized_crop"].aspect == (0.5, 2.0)
        assert view["flip"].horizontal == 0.5
        jitter = view["colour_jitter"]
        assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, jitter.p) == (
            0.8,
            0.8,
            0.8,
            0.2,
            0.8,
        )
        assert jitter.shuffle
        assert view["grey"].p == 0.2
        assert view["gaussian_blur"].sigma == (0.1, 2.0)
    assert (first["gaussian_blur"].p, second["gaussian_blur"].p) == (1.0, 0.1)
    assert "solarise" not in first
    assert (second["solarise"].p, second["solarise"].threshold) == (0.2, 0.5)


def test_cep_is_its_page():
    view, other = ops_of(preset="cep", ultrasound=False)
    assert view == other
    assert (view["resized_crop"].area, view["resized_crop"].aspect) == ((0.4, 1.0), (3 / 4, 4 / 3))
    jitter = view["colour_jitter"]
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.4, 0.4, 0.4, 0.4)
    assert (view["grey"].p, view["flip"].horizontal) == (0.2, 0.5)
    plus = ops_of(preset="cep", ultrasound=False, plus=True)[0]
    assert (plus["colour_jitter"].hue, plus["colour_jitter"].p, plus["gaussian_blur"].p) == (0.1, 0.8, 0.5)


def test_vtdl_is_its_page():
    anchor, positive, negative = ops_of(preset="vtdl", ultrasound=False)
    assert anchor["tca"].alpha == 0.1
    assert "tca" not in positive
    assert positive == negative
    assert (anchor["affine"].rotation, anchor["affine"].shear, anchor["affine"].scale) == (10, 0, (1, 1))
    jitter = anchor["colour_jitter"]
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.5, 0.5, 0.25, 0.5)
    assert "flip" not in anchor
    assert anchor["short_side_crop"].short_side == pytest.approx((64, 64))  # 256 for a crop of 224


def test_order_transform_shows_no_fill():
    white = ClipBatch(torch.full((16, 2, 1, 96, 128), 255, dtype=torch.uint8))
    for augmentation in AugmentArguments(preset="order_transform", size=SIZE).build():
        pixels = augmentation(white, Seeds.for_samples(0, 0, range(16))).pixels.flatten(1)
        torch.testing.assert_close(pixels.amin(dim=1), pixels.amax(dim=1), atol=1e-5, rtol=0)


def test_order_transform_leaves_room_for_its_transforms():
    """Fill is avoided by choosing, not by shrinking all transforms to nothing."""
    facts = ClipBatch(torch.empty(2000, 1, 1, 96, 128, device="meta"))
    moved = AugmentArguments(preset="order_transform", size=SIZE).build()[1]
    params = moved.sample(facts, Seeds.for_samples(0, 0, range(2000)))["affine"]
    assert params.angle_deg.std() > 20  # 26 if drawn freely from -45..45
    assert params.shear_deg.std() > 8


def test_ultrasound_has_no_hue_no_saturation_and_no_flip_unless_asked():
    for preset in ("cep", "cate", "cvrl", "vtdl", "av_augment"):
        for view in ops_of(preset=preset):
            assert view["colour_jitter"].hue == view["colour_jitter"].saturation == 0
            assert not {"grey", "flip"} & set(view)
        assert all(view["flip"].horizontal == 0.5 for view in ops_of(preset=preset, flip=0.5))


def test_ablations_are_switches():
    assert [a.consistent for a in AugmentArguments(preset="cvrl", size=SIZE, consistent=False).build()] == [
        False,
        False,
    ]
    assert ops_of(preset="vtdl", tca=0.3)[0]["tca"].alpha == 0.3
    assert "tca" not in ops_of(preset="vtdl", tca=0)[0]
    assert "spatio_temporal_blur" in ops_of(preset="av_augment", lossy="L2")[0]
    assert "shuffle" in ops_of(preset="av_augment", lossy="N1")[0]
    none = ops_of(preset="av_augment", lossy="none")[0]
    assert set(none) == {"resized_crop", "colour_jitter"}


def test_two_views_of_the_same_frames_share_no_crop():
    """methods/cep, property 7; and methods/vtdl: anchor and positive draw independently."""
    for preset in ("cep", "cate", "cvrl", "vtdl"):
        batch = clips()
        views = [
            augmentation(batch, Seeds.for_samples(0, 0, range(2), place))
            for place, augmentation in enumerate(AugmentArguments(preset=preset, size=SIZE).build())
        ]
        assert ((views[0].box - views[1].box).abs().amax(dim=1) > 1e-3).all()


def test_all_segments_of_a_cine_can_have_one_draw():
    """methods/avbert: give every segment the seeds of its cine."""
    augmentation = AugmentArguments(preset="avbert", size=SIZE, flip=0.5).build()[0]
    segments = [augmentation(clips(), Seeds.for_samples(0, 0, range(2))) for _ in range(3)]
    assert all(torch.equal(segment.box, segments[0].box) for segment in segments)


def test_views_can_be_given_op_by_op():
    block = {"views": [{"ops": [{"name": "resized_crop", "size": [20, 20]}, {"name": "tca"}], "mean": [0.5]}]}
    view = AugmentArguments.model_validate(block).build()[0](clips())
    assert view.pixels.shape == (2, 8, 1, 20, 20)


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ({"preset": "cvrl", "size": (0, 56)}, "size"),
        ({"preset": "cvlr", "size": SIZE}, "preset"),
        ({"preset": "cvrl", "size": SIZE, "tca": 0.1}, "tca"),
        ({"preset": "cvrl", "size": SIZE, "area": (0.9, 0.3)}, "area"),
        ({"preset": "cvrl", "size": SIZE, "area": (0.5, 1.5)}, "area"),
        ({"preset": "cvrl", "size": SIZE, "flip": math.nan}, "flip"),
        ({"preset": "cvrl", "size": SIZE, "flipp": 0.5}, "flipp"),
        ({"preset": "av_augment", "size": SIZE, "intensity": 2}, "intensity"),
        ({"preset": "av_augment", "size": SIZE, "lossy": "L9"}, "lossy"),
        ({"preset": "vtdl", "size": SIZE, "views": [{}]}, "preset and views"),
        ({}, "preset and views"),
        ({"views": []}, "views"),
        ({"views": [{}], "size": SIZE}, "size"),
        ({"views": [{"ops": [{"name": "resized_crop"}]}]}, "size"),
        ({"views": [{"ops": [{"name": "crop", "size": (10, 10), "area": 1}]}]}, "area"),
        ({"views": [{"ops": [{"name": "zoom"}]}]}, "zoom"),
        ({"views": [{"ops": [{"name": "gamma", "gamma": (1.2, 0.8)}]}]}, "gamma"),
        ({"views": [{"ops": [{"name": "gamma", "gamma": (math.nan, 0.8)}]}]}, "gamma"),
        ({"views": [{"ops": [{"name": "gaussian_blur", "sigma": (-1.0, 2.0)}]}]}, "sigma"),
        ({"views": [{"ops": [{"name": "short_side_crop", "size": (112, 112), "short_side": (100, 160)}]}]}, "size"),
        ({"views": [{"ops": [{"name": "affine", "inside": True, "scale": (0.5, 0.9)}]}]}, "visible"),
        ({"views": [{"ops": [{"name": "tca"}, {"name": "flip"}]}]}, "flip .* stands after tca"),
        ({"views": [{"std": [0.0]}]}, "std"),
        ({"views": [{"mean": [0.1, 0.2]}]}, "mean"),
    ],
    ids=str,
)
def test_what_is_impossible_is_refused_with_its_key(block, key):
    with pytest.raises(ValidationError, match=key):
        AugmentArguments.model_validate(block)


def test_a_crop_larger_than_the_frame_is_refused_with_its_key():
    block = {"views": [{}, {"ops": [{"name": "flip"}, {"name": "crop", "size": (200, 100)}]}]}
    with pytest.raises(
        ValueError, match=r"views\.1\.ops\.1\.size: a crop of 200 x 100 does not fit into frames of 96 x 128"
    ):
        AugmentArguments.model_validate(block).check((96, 128), 8)


def test_a_short_side_that_cannot_hold_the_crop_is_refused_for_the_frames_it_meets():
    block = {"views": [{"ops": [{"name": "short_side_crop", "size": (56, 72), "short_side": (64, 80)}]}]}
    arguments = AugmentArguments.model_validate(block)
    arguments.check((96, 128), 8)
    with pytest.raises(ValueError, match=r"views\.0\.ops\.0\.size: a crop of 56 x 72 .* resized to 64 x 64"):
        arguments.check((96, 96), 8)
    with pytest.raises(ValueError, match="resized to 64 x 64"):
        arguments.build()[0](ClipBatch(torch.zeros(1, 2, 1, 96, 96, dtype=torch.uint8)))


def test_a_preset_needs_the_size_of_its_views_from_somewhere():
    assert AugmentArguments(preset="cvrl").build((56, 72))[0].size_after((96, 128)) == (56, 72)
    with pytest.raises(ValueError, match="size: give height and width"):
        AugmentArguments(preset="cvrl").build()
    with pytest.raises(ValueError, match=r"size: makes views of 56 x 56 where 56 x 72 are needed"):
        AugmentArguments(preset="cvrl", size=SIZE).check((96, 128), 8, (56, 72))


def test_clips_of_no_frames_are_refused():
    with pytest.raises(ValueError, match="frames"):
        AugmentArguments(preset="cvrl", size=SIZE).check((96, 128), 0)
    with pytest.raises(ValueError, match="at least one frame"):
        ClipBatch(torch.zeros(1, 0, 1, 8, 8))
    with pytest.raises(ValueError, match="channels"):
        ClipBatch(torch.zeros(1, 4, 2, 8, 8))
    with pytest.raises(ValueError, match="spacing_mm"):
        ClipBatch(torch.zeros(1, 4, 1, 8, 8), spacing_mm=torch.ones(3, 2))
