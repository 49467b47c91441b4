from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cine.screens import moving_fan, scanner_screen, write
from usssl.cine import Region, open_cine, write_video
from usssl.cine.overlays import colour_overlay, image_moves, static_overlay
from usssl.cine.sector import content_box, crop_window, resample
from usssl.cine.sector_mask import drawn_over, find_sector, image_mask, mask_outside, sampled_frames, sector_mask


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_outline_is_the_fan_and_no_text_beside_it_is_inside() -> None:
    frames, fan, text = scanner_screen()
    found = image_mask(frames)
    assert found is not None
    assert overlap(found, fan) > 0.98
    assert not (found & text)[:90].any()


def test_outline_of_a_rectangle() -> None:
    frames = np.zeros((4, 240, 320), np.uint8)
    frames[:, 40:200, 60:250] = np.random.default_rng(0).integers(20, 200, (4, 160, 190))
    expected = np.zeros((240, 320), dtype=bool)
    expected[40:200, 60:250] = True
    found = image_mask(frames)
    assert found is not None
    assert overlap(found, expected) > 0.97


def test_nothing_is_found_on_a_screen_of_text_alone() -> None:
    frames = np.zeros((3, 360, 480), np.uint8)
    for line in range(8):
        write(frames, "no image here, only words", (20, 40 + 40 * line))
    assert image_mask(frames) is None
    assert image_mask(np.zeros((1, 50, 60), np.uint8)) is None


def test_trusted_regions_bound_the_image_and_others_do_not() -> None:
    frames, _, _ = scanner_screen()
    trusted = Region("b_mode", (100, 30, 300, 300))
    found = image_mask(frames, [trusted])
    assert found is not None
    assert found[30:300, 100:300].sum() == found.sum()
    for region in (Region("b_mode", (100, 30, 300, 300), inside=False), Region("ecg", (100, 30, 300, 300))):
        other = image_mask(frames, [region])
        assert other is not None
        assert np.array_equal(other, image_mask(frames))


@pytest.mark.parametrize("value", [255, 230, 150])
def test_text_over_a_moving_image_is_covered_whole(value: int) -> None:
    frames, fan = moving_fan()
    text = write(frames, "VANDERBILT 4711", (160, 200), value)
    marks = static_overlay(frames, fan)
    assert not (text & fan & ~marks).any()
    # Blocks, not strokes: what lies between the letters goes as well, so that no letter can be read from its outline.
    rows, columns = np.where(text)
    block = marks[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert block.mean() > 0.9
    assert marks.mean() < 0.06


def test_text_is_found_after_lossy_coding(tmp_path: Path) -> None:
    frames, fan = moving_fan()
    text = write(frames, "VANDERBILT 4711", (160, 200))
    write_video(tmp_path / "x.mp4", frames, 25, crf=28)
    with open_cine(tmp_path / "x.mp4") as cine:
        marks = static_overlay(np.asarray(cine), fan)
    assert (text & marks).sum() > 0.98 * text.sum()


def test_nothing_is_marked_without_text_or_without_motion() -> None:
    frames, fan = moving_fan()
    found = static_overlay(frames, fan)
    assert found is not None
    assert found.mean() < 0.01
    assert image_moves(frames, fan)
    still = np.repeat(frames[:1], 6, axis=0)
    assert static_overlay(still, fan) is None
    assert not image_moves(still, fan)
    assert not image_moves(frames[:1], fan)


def test_in_a_still_text_is_found_by_the_ink_of_the_text_beside_the_image() -> None:
    frames, fan, text = scanner_screen(frames=1)
    covered, told = drawn_over(frames, fan)
    assert not told
    assert not (text & fan & ~covered).any()
    assert covered.sum() < 0.1 * fan.sum()
    unwritten, _ = moving_fan(frames=1)
    assert not drawn_over(unwritten, fan)[0].any()


def test_doppler_colour_is_excluded_and_a_tinted_map_is_not() -> None:
    grey, fan = moving_fan(frames=4)
    frames = np.repeat(grey[..., None], 3, axis=3)
    frames[1, 150:200, 200:260] = (200, 30, 20)
    found = colour_overlay(frames, fan)
    assert found[150:200, 200:260].all()
    assert found.sum() < 1.3 * 50 * 60
    tinted = np.repeat(grey[..., None], 3, axis=3)
    tinted[..., 2] = np.clip(tinted[..., 2].astype(int) + 30, 0, 255)
    assert not colour_overlay(tinted, fan).any()


def test_sector_mask_leaves_text_colour_and_traces_out(tmp_path: Path) -> None:
    frames, fan, text = scanner_screen()
    write_video(tmp_path / "x.mkv", frames, 25, codec="ffv1")
    with open_cine(tmp_path / "x.mkv") as cine:
        kept = sector_mask(cine)
    assert kept.dtype == bool
    assert not (kept & text).any()
    assert (kept & fan).sum() > 0.85 * fan.sum()


def test_masking_blackens_outside_and_nothing_else() -> None:
    frames = np.full((2, 4, 5, 3), 7, np.uint8)
    keep = np.zeros((4, 5), dtype=bool)
    keep[1:3, 2:4] = True
    masked = mask_outside(frames, keep)
    assert masked.sum() == 7 * 2 * 4 * 3
    assert np.all(masked[:, 1:3, 2:4] == 7)
    assert np.all(frames == 7)
    assert mask_outside(frames[..., 0], keep).sum() == 7 * 2 * 4


def test_names_of_the_phantom_scanners_are_outside_the_mask() -> None:
    from usssl.phantom.simulation import simulate_cine

    cine = simulate_cine(0, 5, frames=6)
    found = image_mask(cine.frames)
    assert found is not None
    kept = found & ~drawn_over(cine.frames, found)[0]
    for x0, y0, x1, y1 in cine.patient.screen.text_boxes:
        assert cine.frames[:, y0:y1, x0:x1].max() > 100
        assert not kept[y0:y1, x0:x1].any()
    assert kept.mean() > 0.4


def test_the_phantom_sector_is_found_at_full_and_at_store_size() -> None:
    """The convex outline overlaps it by 0.96 and 0.93; text beside the fan blurs into it at store size."""
    from usssl.phantom.simulation import simulate_cine

    cine = simulate_cine(0, 5, frames=6)
    truth = cine.sector.mask
    found = find_sector(cine.frames)
    assert found is not None
    assert found.outline is not None
    assert found.outline.kind == "fan"
    assert overlap(found.mask, truth) > 0.985
    window = crop_window(content_box(cine.frames), (96, 120))
    stored = image_mask(resample(cine.frames, window, (96, 120)))
    assert stored is not None
    assert overlap(stored, resample(truth[None].astype(np.uint8) * 255, window, (96, 120))[0] > 127) > 0.945


def test_a_grey_screen_is_told_from_the_fan_by_its_stillness() -> None:
    frames, fan = moving_fan()
    frames[:, ~fan] = 24
    found = image_mask(frames)
    assert found is not None
    assert overlap(found, fan) > 0.97


# Shares of the frame that the mask keeps, (least, most), seen by eye to be the sector.
REAL = {
    "dicom_us/files/rle_ybrfull_1f.dcm": (0.42, 0.50),
    "dicom_us/files/jpegll_mono_1f.dcm": (0.24, 0.34),
    "dicom_us/files/jpeg_ybr422_30f.dcm": (0.25, 0.38),
    "us_misc/files/clarius-ocular-short.mp4": (0.42, 0.53),
    "us_misc/files/sonosite-anon-eye1-video.mp4": (0.25, 0.33),
    "covid_blues/lus_videos/patient_26_L3.mp4": (0.75, 0.95),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sectors(test_data: Path, name: str) -> None:
    with open_cine(test_data / name) as cine:
        found = image_mask(sampled_frames(cine, 6), cine.regions)
    assert found is not None
    assert REAL[name][0] < found.mean() < REAL[name][1]


def test_the_name_within_a_real_still_is_covered(test_data: Path) -> None:
    with open_cine(test_data / "dicom_us/files/rle_ybrfull_1f.dcm") as cine:
        frames = sampled_frames(cine)
        found = image_mask(frames, cine.regions)
    assert found is not None
    name = np.zeros(found.shape, dtype=bool)
    name[372:388, 115:148] = True  # "DOE", in grey 201 over tissue
    letters = name & (cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY) == 201)
    assert letters.sum() > 80
    assert not (letters & found & ~drawn_over(frames, found)[0]).any()
