from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.cine.sector import Box, Window, content_box, crop_window, resample, resample_weights

# Boxes drawn by hand on the real files, (x0, y0, x1, y1) as shares of the frame.
BY_HAND = {
    "us_misc/files/clarius-ocular-short.mp4": (0.20, 0.07, 0.80, 0.92),
    "us_misc/files/sonosite-anon-eye1-video.mp4": (0.41, 0.07, 0.75, 0.89),
    "us_misc/files/gastroc_jumping.mp4": (0.14, 0.10, 0.866, 0.86),
    "fetal_planes/images/abdominal.jpg": (0.05, 0.08, 0.905, 1.0),
    "fetal_planes/images/rvot.jpg": (0.05, 0.08, 0.92, 1.0),
    "fetal_planes/images/brain_cb.jpg": (0.0, 0.08, 1.0, 1.0),
    "dicom_us/files/rle_ybrfull_1f.dcm": (0.13, 0.13, 0.755, 0.865),
    "dicom_us/files/jpegll_mono_1f.dcm": (0.14, 0.24, 0.875, 0.82),
    "dicom_us/files/jpegls_mono_1f.dcm": (0.20, 0.18, 0.88, 0.96),
    "covid_blues/lus_videos/patient_26_L3.mp4": (0.0, 0.0, 1.0, 1.0),
    "pocus_lung_us/videos/convex/Reg_pat1Image_132943.mpeg": (0.0, 0.0, 1.0, 1.0),
}


def read_grey(path: Path) -> np.ndarray:
    if path.suffix in (".jpg", ".png"):
        return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[None]
    if path.suffix == ".dcm":
        pixels = pydicom.dcmread(path).pixel_array
        return (pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[None]
    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="gray") for frame, _ in zip(container.decode(video=0), range(25), strict=False)
        ]
    return np.stack(frames)


def screen(height: int, width: int, image: Box, frames: int = 3, seed: int = 0) -> np.ndarray:
    """A black screen with speckle in the image's box."""
    rng = np.random.default_rng(seed)
    out = np.zeros((frames, height, width), np.uint8)
    out[:, image.y0 : image.y1, image.x0 : image.x1] = rng.integers(
        20, 200, (frames, image.y1 - image.y0, image.x1 - image.x0)
    )
    return out


@pytest.mark.parametrize("name", BY_HAND)
def test_box_on_real_files_is_the_box_drawn_by_hand(test_data: Path, name: str) -> None:
    frames = read_grey(test_data / name)
    height, width = frames.shape[1:]
    found = np.array(content_box(frames)) / [width, height, width, height]
    assert np.abs(found - BY_HAND[name]).max() < 0.085, f"found {found.round(3)}"


@pytest.mark.parametrize("name", BY_HAND)
def test_box_of_a_cropped_image_is_nearly_the_whole_frame(test_data: Path, name: str) -> None:
    frames = read_grey(test_data / name)
    box = content_box(frames)
    cropped = frames[:, box.y0 : box.y1, box.x0 : box.x1]
    height, width = cropped.shape[1:]
    found = np.array(content_box(cropped)) / [width, height, width, height]
    assert np.abs(found - [0, 0, 1, 1]).max() < 0.04


def test_burned_in_text_ticks_and_bars_do_not_count() -> None:
    image = Box(160, 100, 500, 420)
    frames = screen(480, 640, image)
    for frame in frames:
        for line in range(6):
            cv2.putText(frame, "DOE^JANE 1970-01-01", (5, 20 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1)
        frame[460:480] = 90  # a status bar
        frame[120:380, 600:615] = np.linspace(255, 0, 260)[:, None].astype(np.uint8)  # the grey bar
        frame[100:420:32, 510:516] = 255  # depth ticks
    assert np.abs(np.array(content_box(frames)) - image).max() <= 640 / 64


@given(
    height=st.integers(40, 900),
    width=st.integers(40, 900),
    shares=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0.7, 1), st.floats(0.7, 1)),
    time=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_box_of_a_bright_rectangle_is_right_within_a_cell(
    height: int, width: int, shares: tuple[float, ...], time: int
) -> None:
    image = Box(*(int(share * length) for share, length in zip(shares, (width, height, width, height), strict=True)))
    found = content_box(screen(height, width, image, time))
    error = np.abs(np.array(found) - image) / [width, height, width, height]
    assert error.max() <= 1.5 / 64 + 1 / min(height, width)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_box_lies_in_the_frame_and_is_not_empty(height: int, width: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 9, (2, height, width)).astype(np.uint8)
    x0, y0, x1, y1 = content_box(frames)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


def test_nothing_found_gives_the_whole_frame() -> None:
    assert content_box(np.zeros((2, 30, 50), np.uint8)) == (0, 0, 50, 30)
    small = screen(480, 640, Box(300, 200, 380, 260))
    assert content_box(small) == (0, 0, 640, 480)


def test_frames_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="content"):
        content_box(np.zeros((0, 4, 4), np.uint8))


@given(
    st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 500), st.integers(1, 500)),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_window_contains_the_box_with_the_right_aspect_and_is_the_smallest(
    edges: tuple[int, ...], size: tuple[int, int]
) -> None:
    box = Box(edges[0], edges[1], edges[0] + edges[2], edges[1] + edges[3])
    window = crop_window(box, size)
    assert window.x0 <= box.x0 + 1e-6
    assert window.y1 >= box.y1 - 1e-6
    assert (window.x1 - window.x0) * size[0] == pytest.approx((window.y1 - window.y0) * size[1])
    assert window.x0 + window.x1 == pytest.approx(box.x0 + box.x1)
    assert window.x1 - window.x0 == pytest.approx(edges[2]) or window.y1 - window.y0 == pytest.approx(edges[3])


def test_weights_worked_out_by_hand() -> None:
    assert np.array_equal(resample_weights(0, 4, 4, 4), np.eye(4, dtype=np.float32))
    # Scale 2: the triangle of half width 2 around 1 weighs the pixel centres 0.5, 1.5, 2.5 by 3/4, 3/4, 1/4.
    assert resample_weights(0, 4, 2, 4)[0] == pytest.approx([3 / 7, 3 / 7, 1 / 7, 0])
    # Twice as large: output centre 0.75 lies between pixel centres 0.5 and 1.5.
    assert resample_weights(0, 2, 4, 2)[1] == pytest.approx([0.75, 0.25])
    # The second of four parts lies half outside, the first wholly.
    assert resample_weights(-3, 5, 4, 9).sum(axis=1) == pytest.approx([0, 0.5, 1, 1])


@given(st.floats(-300, 300), st.floats(1, 900), st.integers(1, 200), st.integers(1, 400))
def test_weights_are_a_mean_inside_and_nothing_outside(start: float, extent: float, out: int, length: int) -> None:
    weights = resample_weights(start, start + extent, out, length)
    edges = start + np.arange(out + 1) * extent / out
    inside = (edges[:-1] >= 0) & (edges[1:] <= length)
    outside = (edges[1:] <= 0) | (edges[:-1] >= length)
    assert weights.min() >= 0
    assert weights.sum(axis=1)[inside] == pytest.approx(1, abs=1e-4)
    assert np.all(weights[outside] <= 1e-6)


def test_resampling_matches_a_foreign_antialiased_bilinear() -> None:
    from PIL import Image

    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (123, 211)).astype(np.uint8), (0, 0), 2)
    ours = resample(image[None], Window(0, 0, 211, 123), (40, 60))[0]
    theirs = np.asarray(Image.fromarray(image).resize((60, 40), Image.Resampling.BILINEAR))
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_resampling_a_window_past_the_frame_is_black_there() -> None:
    frames = np.full((2, 40, 40), 100, np.uint8)
    out = resample(frames, Window(-20, 0, 60, 40), (20, 40))
    assert np.all(out[:, :, 10:30] == 100)
    assert np.all(out[:, :, :10] == 0)
    assert np.all(out[:, :, 30:] == 0)
