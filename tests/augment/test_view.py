"""Records of a view: in the coordinates and seconds of the original cine, after all that was done."""

from __future__ import annotations

import pytest
import torch

from usssl.augment import ClipBatch, Seeds, ViewAugmentation
from usssl.augment.crop import BoxParams, Crop, Flip, FlipParams, ResizedCrop, ShortSideCrop
from usssl.augment.depth import DepthChange

CROP = {"name": "resized_crop", "size": (20, 30), "area": (0.2, 0.6)}


def batch(rows=4, frames=5, size=(60, 80), **facts):
    pixels = torch.randint(0, 256, (rows, frames, 1, *size), dtype=torch.uint8)
    return ClipBatch(pixels, **facts)


def seeds(rows=4):
    return Seeds.for_samples(0, 0, range(rows))


def test_the_box_of_a_crop_is_in_shares_of_the_frame():
    view = ViewAugmentation(ops=[CROP])(batch(), seeds())
    torch.testing.assert_close(view.box, view.params["resized_crop"].box)
    width, height = (view.box[:, 2] - view.box[:, 0]) * 80, (view.box[:, 3] - view.box[:, 1]) * 60
    torch.testing.assert_close(view.matrices[:, 0, 0] * 30, width)
    torch.testing.assert_close(view.matrices[:, 1, 1] * 20, height)


def test_a_later_flip_changes_the_recorded_box():
    plain = ViewAugmentation(ops=[CROP])(batch(), seeds())
    flipped = ViewAugmentation(ops=[CROP, {"name": "flip", "horizontal": 1.0}])(batch(), seeds())
    torch.testing.assert_close(flipped.box, plain.box[:, [2, 1, 0, 3]])


def test_a_crop_of_a_flipped_frame_is_found_on_the_other_side():
    view = ViewAugmentation(ops=[{"name": "flip", "horizontal": 1.0}, CROP])(batch(), seeds())
    x0, y0, x1, y1 = view.params["resized_crop"].box.unbind(dim=1)
    torch.testing.assert_close(view.box, torch.stack([1 - x0, y0, 1 - x1, y1], dim=1))


def test_the_box_is_where_the_pixels_come_from():
    """A ramp along x and y is its own coordinate: the corner pixels say where they were taken."""
    x = (torch.arange(80.0) + 0.5) / 80
    y = (torch.arange(60.0) + 0.5) / 60
    pixels = torch.stack([x.expand(60, 80), y[:, None].expand(60, 80), torch.zeros(60, 80)])[None, None].expand(
        4, 2, 3, 60, 80
    )
    ops = [CROP, {"name": "flip", "horizontal": 0.5, "vertical": 0.5}, {"name": "resize", "size": (40, 40)}]
    view = ViewAugmentation(ops=ops)(ClipBatch(pixels.double()), seeds())
    first, last = view.pixels[:, 0, :2, 0, 0].double(), view.pixels[:, 0, :2, -1, -1].double()
    step = (view.box[:, 2:] - view.box[:, :2]) / 40
    torch.testing.assert_close(first, view.box[:, :2] + step / 2, atol=1e-4, rtol=0)
    torch.testing.assert_close(last, view.box[:, 2:] - step / 2, atol=1e-4, rtol=0)


def test_two_crops_compose():
    ops = [{"name": "crop", "size": (40, 50), "centre": True}, {"name": "crop", "size": (20, 30), "centre": True}]
    view = ViewAugmentation(ops=ops)(batch(), seeds())
    assert list(view.params) == ["crop", "crop_2"]
    assert view.box[0].tolist() == pytest.approx([25 / 80, 20 / 60, 55 / 80, 40 / 60])


def test_a_rotated_view_has_the_box_around_it():
    ops = [{"name": "affine", "rotation": 0, "translation": 0, "scale": (2.0, 2.0), "shear": 0}]
    assert ViewAugmentation(ops=ops)(batch(), seeds()).box[0].tolist() == pytest.approx([0.25, 0.25, 0.75, 0.75])


def test_windows_of_prepared_frames_are_taken_into_account():
    """The store's frames are a part of the original frame: boxes are in the original's shares."""
    window = torch.tensor([0.1, 0.2, 0.5, 0.6]).expand(4, 4)
    ops = [{"name": "crop", "size": (30, 40), "centre": True}]
    view = ViewAugmentation(ops=ops)(batch(window=window), seeds())
    assert view.box[0].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_millimetres_follow_the_resampling():
    spacing = torch.tensor([[0.5, 0.25]]).expand(4, 2)
    crop = ViewAugmentation(ops=[{"name": "crop", "size": (30, 40)}, {"name": "resize", "size": (60, 20)}])
    view = crop(batch(spacing_mm=spacing), seeds())
    assert view.facts.spacing_mm[0].tolist() == pytest.approx([0.25, 0.5])
    assert view.extent_mm[0].tolist() == pytest.approx([15.0, 10.0])
    assert view.frame_mm[0].tolist() == pytest.approx([30.0, 20.0])
    assert crop(batch(), seeds()).extent_mm.isnan().all()


def test_times_follow_the_choice_of_frames():
    times = 2.0 + 0.1 * torch.arange(5, dtype=torch.float64).expand(4, 5)
    forward = ViewAugmentation()(batch(times_s=times), seeds())
    assert forward.start_s.tolist() == pytest.approx([2.0] * 4)
    assert forward.step_s.tolist() == pytest.approx([0.1] * 4)
    back = ViewAugmentation(ops=[{"name": "reversal"}])(batch(times_s=times), seeds())
    assert back.start_s.tolist() == pytest.approx([2.0] * 4)
    assert back.step_s.tolist() == pytest.approx([-0.1] * 4)


def test_times_of_a_looped_clip_are_masked():
    times = torch.arange(5, dtype=torch.float64).expand(4, 5)
    looped = torch.tensor([False, True, False, False])
    view = ViewAugmentation()(batch(times_s=times, looped=looped), seeds())
    assert view.start_s.isnan().tolist() == looped.tolist()
    assert view.step_s.isnan().tolist() == looped.tolist()


def test_without_ops_bytes_become_numbers():
    clips = batch()
    assert torch.equal((ViewAugmentation()(clips).pixels * 255).round().to(torch.uint8), clips.pixels)


def test_normalisation_comes_last():
    clips = ClipBatch(torch.full((1, 2, 3, 4, 4), 0.5))
    view = ViewAugmentation(mean=(0.5, 0.25, 0.0), std=(1.0, 0.5, 2.0))(clips)
    assert view.pixels[0, 0, :, 0, 0].tolist() == pytest.approx([0.0, 0.5, 0.25])


def test_views_can_be_made_again_from_their_records():
    ops = [CROP, {"name": "speckle"}, {"name": "gain"}, {"name": "colour_jitter"}, {"name": "tca"}]
    augmentation, clips = ViewAugmentation(ops=ops), batch()
    view = augmentation(clips, torch.Generator().manual_seed(5))
    assert torch.equal(augmentation.apply(clips, view.params).pixels, view.pixels)


def test_crops_stay_in_their_ranges():
    facts = ClipBatch(torch.empty(4000, 1, 1, 60, 80, device="meta"))
    box = ResizedCrop(size=(10, 10), area=(0.3, 0.9), aspect=(0.5, 2.0)).sample(facts, seeds(4000)).box
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    share, aspect = width * height, 80 * width / (60 * height)
    assert (box[:, :2] >= 0).all()
    assert (box[:, 2:] <= 1 + 1e-9).all()
    assert share.min() >= 0.3 - 1e-9
    assert share.max() <= 0.9 + 1e-9
    assert aspect.min() >= 0.5 - 1e-9
    assert aspect.max() <= 2.0 + 1e-9
    assert share.mean().item() == pytest.approx(0.56, abs=0.04)  # large wide boxes fit less often: below 0.6


def test_crops_within_the_sector_stay_there():
    sector = torch.tensor([10.0, 5.0, 50.0, 45.0]).expand(200, 4)
    facts = ClipBatch(torch.empty(200, 1, 1, 60, 80, device="meta"), sector=sector)
    box = ResizedCrop(size=(10, 10), within="sector").sample(facts, seeds(200)).box * torch.tensor([80, 60, 80, 60])
    assert (box[:, :2] >= sector[:, :2]).all()
    assert (box[:, 2:] <= sector[:, 2:] + 1e-9).all()


def test_the_sector_moves_with_the_frame():
    sector = torch.tensor([10.0, 5.0, 50.0, 45.0]).expand(1, 4)
    facts = ClipBatch(torch.empty(1, 1, 1, 60, 80, device="meta"), sector=sector)
    flip = Flip()
    seen = facts.seen_through(
        flip.matrices(FlipParams(torch.tensor([True]), torch.tensor([False])), (60, 80)), (60, 80)
    )
    assert seen.sector[0].tolist() == pytest.approx([30, 5, 70, 45])


def test_flips_exactly():
    clips = torch.randint(0, 256, (2, 2, 3, 7, 9), dtype=torch.uint8)
    both = FlipParams(torch.tensor([True, False]), torch.tensor([False, True]))
    out = Flip().apply(clips, both)
    assert torch.equal(out[0], clips[0].flip(-1))
    assert torch.equal(out[1], clips[1].flip(-2))
    assert Flip().encode(both).tolist() == [[-1.0], [1.0]]


def test_crops_exactly():
    clips = torch.randint(0, 256, (1, 2, 3, 30, 40), dtype=torch.uint8)
    out = Crop(size=(10, 12)).apply(
        clips, BoxParams(torch.tensor([[3 / 40, 5 / 30, 15 / 40, 15 / 30]], dtype=torch.float64))
    )
    assert torch.equal(out, clips[..., 5:15, 3:15])


def test_depth_changes_about_the_probe():
    sector = torch.tensor([10.0, 6.0, 70.0, 56.0]).expand(1, 4)
    clips = batch(rows=1, sector=sector, spacing_mm=torch.tensor([[2.0, 2.0]]))
    op = DepthChange(change_mm=(-20.0, -20.0))
    params = op.sample(clips)
    assert params.depth_mm.tolist() == pytest.approx([80.0])  # 50 pixels of 2 mm, less 20
    assert params.ratio.tolist() == pytest.approx([0.8])
    matrix = op.matrices(params, (60, 80))[0]
    assert (matrix @ torch.tensor([40.0, 6.0, 1.0], dtype=torch.float64)).tolist() == pytest.approx([40.0, 6.0])
    assert (matrix @ torch.tensor([40.0, 56.0, 1.0], dtype=torch.float64)).tolist() == pytest.approx([40.0, 46.0])


def test_depth_in_mm_is_left_alone_where_the_spacing_is_not_known():
    params = DepthChange(change_mm=(-20.0, 20.0)).sample(batch())
    assert params.ratio.tolist() == [1.0] * 4
    assert params.depth_mm.isnan().all()


def test_short_side_jitter_of_avbert():
    """Short side 128..160, crop 112: the box covers 112/160 to 112/128 of the short side."""
    facts = ClipBatch(torch.empty(2000, 1, 1, 120, 200, device="meta"))
    box = ShortSideCrop(size=(112, 112)).sample(facts, seeds(2000)).box
    height = box[:, 3] - box[:, 1]
    assert height.min().item() == pytest.approx(112 / 160, abs=2e-3)
    assert height.max().item() == pytest.approx(112 / 128, abs=2e-3)
    torch.testing.assert_close(200 * (box[:, 2] - box[:, 0]), 120 * height)
