"""Encodings of what differs between two views: methods/cate, properties 2 and 3, and what must hold of every one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from usssl.augment import ClipBatch, Encodings, Seeds, View, ViewAugmentation
from usssl.augment.encode import box_change, box_shift, sinusoid, speed_change, time_shift


def view(boxes, start_s=0.0, step_s=0.1, spacing=float("nan"), looped=False):
    """A view with a given box, time and spacing; its pixels do not matter."""
    boxes = torch.tensor(boxes, dtype=torch.float64)
    rows = len(boxes)
    times = start_s + step_s * torch.arange(4, dtype=torch.float64).expand(rows, 4)
    source = ClipBatch(torch.empty(rows, 4, 1, 100, 200, device="meta"), spacing_mm=torch.full((rows, 2), spacing))
    facts = ClipBatch(
        torch.empty(rows, 4, 1, 50, 50, device="meta"),
        window=boxes,
        times_s=times,
        looped=torch.full((rows,), looped),
    )
    return View(torch.zeros(rows, 4, 1, 50, 50), facts, source, torch.zeros(rows, 2, 3), {})


A, B = view([(0.1, 0.2, 0.6, 0.7)], 1.0), view([(0.3, 0.1, 0.9, 0.6)], 2.5, step_s=0.2)


def test_box_of_property_2():
    assert box_shift(A, B)[0].tolist() == pytest.approx([0.2, -0.1, 0.3, -0.1])
    assert box_change(A, B)[0].tolist() == pytest.approx([0.5, -0.2, 0.182322, 0.0], abs=5e-7)


def test_relative_algebra_of_property_2():
    for encoding in (box_shift, time_shift, speed_change):
        assert encoding(A, A).abs().max() == 0
        torch.testing.assert_close(encoding(A, B), -encoding(B, A))
    assert time_shift(A, B).item() == pytest.approx(1.5)  # its sign is kept
    assert speed_change(A, B).item() == pytest.approx(1.0)


def test_sinusoid_of_property_3():
    values = sinusoid(torch.tensor([0.0, 1.5, -1.5], dtype=torch.float64), 4)
    assert values[0].tolist() == [0, 1, 0, 1]
    assert values[1].tolist() == pytest.approx([0.997495, 0.070737, 0.014999, 0.999888], abs=5e-7)
    assert values[2].tolist() == pytest.approx([-0.997495, 0.070737, -0.014999, 0.999888], abs=5e-7)


def test_millimetres():
    a, b = (view([box], spacing=0.5) for box in ((0.1, 0.2, 0.6, 0.7), (0.3, 0.1, 0.9, 0.6)))
    assert box_shift(a, b, "mm")[0].tolist() == pytest.approx([20.0, -5.0, 30.0, -5.0])  # frames of 50 x 100 mm
    encoded = Encodings(kinds=("crop",), crop_unit="mm").relative(A, B)["crop"]
    assert not encoded.known.any()
    assert encoded.values.abs().sum() == 0


def test_a_looped_clip_has_no_time_but_a_crop():
    encoded = Encodings(kinds=("time", "crop")).relative(view([(0, 0, 1, 1)], looped=True), A)
    assert not encoded["time"].known.any()
    assert encoded["crop"].known.all()


def test_flips():
    mirrored = view([(0.6, 0.2, 0.1, 0.7)])
    flip = Encodings(kinds=("flip",))
    assert flip.relative(A, mirrored)["flip"].values.item() == -1
    assert flip.relative(mirrored, mirrored)["flip"].values.item() == 1
    assert flip.absolute(mirrored)["flip"].values.item() == -1


def test_absolute_is_centre_and_size():
    encoded = Encodings(mode="absolute", max_shift_s=2.0).absolute(B)
    assert encoded["crop"].values[0].tolist() == pytest.approx([0.6, 0.35, 0.6, 0.5])
    assert encoded["time"].values.item() == pytest.approx(1.25)


@pytest.mark.parametrize("unit", ["share", "mm"])
def test_an_absolute_crop_lies_within_the_frame_that_was_cropped(unit):
    """The middle half of the lower right quarter of the original frame, which is 50 mm high and 100 mm wide."""
    seen = view([(0.625, 0.625, 0.875, 0.875)], spacing=0.25)
    source = replace(seen.source, window=torch.tensor([[0.5, 0.5, 1.0, 1.0]]))
    encoded = Encodings(kinds=("crop",), crop_unit=unit).absolute(replace(seen, source=source))["crop"]
    expected = {"share": [0.5, 0.5, 0.5, 0.5], "mm": [25.0, 12.5, 25.0, 12.5]}[unit]
    assert encoded.values[0].tolist() == pytest.approx(expected)


def test_only_what_is_asked_for_is_supplied_and_its_width_is_known():
    for kinds in ((), ("time",), ("crop",), ("time", "crop", "flip", "speed")):
        encodings = Encodings(kinds=kinds, sinusoids=6)
        encoded = encodings.relative(A, B)
        assert tuple(encoded) == kinds
        assert {k: e.values.shape[1] for k, e in encoded.items()} == {k: encodings.numbers(k) for k in kinds}


def test_shuffled_gives_each_pair_anothers():
    boxes = torch.rand(5, 4).sort(dim=1).values[:, [0, 1, 2, 3]].tolist()
    a, b = view(boxes), view([(0.0, 0.0, 1.0, 1.0)] * 5)
    true, shuffled = (Encodings(kinds=("crop",), shuffled=s).relative(a, b)["crop"].values for s in (False, True))
    assert not (true == shuffled).all(dim=1).any()
    assert sorted(true.tolist()) == sorted(shuffled.tolist())


def test_encodings_of_drawn_views_say_where_they_were_taken():
    """A crop of a crop, flipped: the encoding from a to b is the difference of what `View.box` records."""
    clips = ClipBatch(
        torch.randint(0, 256, (3, 4, 1, 60, 80), dtype=torch.uint8),
        times_s=torch.arange(4, dtype=torch.float64).expand(3, 4),
    )
    augmentation = ViewAugmentation(ops=[{"name": "resized_crop", "size": (20, 20)}, {"name": "flip"}])
    a, b = (augmentation(clips, Seeds.for_samples(0, 0, range(3), view)) for view in (0, 1))
    encoded = Encodings(kinds=("crop", "time")).relative(a, b)
    torch.testing.assert_close(encoded["crop"].values, (b.box - a.box).float())
    assert encoded["time"].values.abs().max() == 0
    assert encoded["time"].known.all()


def test_frames_treated_one_by_one_have_no_crop_encoding():
    clips = ClipBatch(torch.randint(0, 256, (3, 4, 1, 60, 80), dtype=torch.uint8))
    control = ViewAugmentation(ops=[{"name": "resized_crop", "size": (20, 20)}], consistent=False)(clips)
    assert not Encodings(kinds=("crop", "flip")).relative(control, control)["crop"].known.any()
