from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from usssl.cine import open_cine
from usssl.cine.sector_mask import sector_mask
from usssl.cine.thin_lines import thin_lines


@pytest.fixture
def tissue() -> np.ndarray:
    noise = np.random.default_rng(0).gamma(2.0, 60.0, (240, 320))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 1.5), 0, 150).astype(np.uint8)


@pytest.mark.parametrize("thick", [1, 2])
@pytest.mark.parametrize("color", [False, True])
def test_the_sides_of_a_box_are_found_and_little_else(tissue: np.ndarray, thick: int, color: bool) -> None:
    box = np.zeros(tissue.shape, np.uint8)
    box[60 : 60 + thick, 80:200] = box[150 : 150 + thick, 80:200] = 1
    box[60:150, 80 : 80 + thick] = box[60:150, 200 : 200 + thick] = 1
    frame = np.where(box > 0, np.uint8(220), tissue)
    frame = np.repeat(frame[..., None], 3, axis=2) if color else frame
    found = thin_lines(frame, np.ones(tissue.shape, dtype=bool))
    assert found[box > 0].all()
    assert found.sum() < 4 * box.sum() + 100
    within = np.ones(tissue.shape, dtype=bool)
    within[:, 100:] = False
    assert not thin_lines(frame, within)[:, 140:].any()


def test_tissue_layers_and_short_lines_stay(tissue: np.ndarray) -> None:
    frame = tissue.copy()
    frame[40:44, 20:300] = 230  # a layer: thicker than a line
    for x in range(20, 300):
        frame[100 + x // 10, x] = 230  # a thin one that is not level
    frame[200, 50:75] = 230
    assert not thin_lines(frame, np.ones(frame.shape, dtype=bool)).any()


# (file, box of what is drawn as (y0, y1, x0, x1))
DRAWN = {
    "dicom_us/files/evrle_rgb_1f.dcm": [(145, 149, 45, 135), (80, 140, 42, 45), (80, 140, 272, 275)],
    "dicom_us/files/j2k_lossless_ybrrct_1f": [(147, 149, 90, 270), (293, 295, 90, 300), (170, 280, 87, 88)],
    "fetal_planes/images/femur.jpg": [(692, 731, 853, 956)],
}


@pytest.mark.parametrize("name", DRAWN)
def test_lines_and_labels_over_real_stills_are_no_training_pixels(test_data: Path, name: str) -> None:
    with open_cine(test_data / name) as cine:
        frame, keep = cine[0], sector_mask(cine)
    assert keep.mean() > 0.3
    for y0, y1, x0, x1 in DRAWN[name]:
        assert frame[y0:y1, x0:x1].max() > 140
        assert not keep[y0:y1, x0:x1].any()
