"""Frames and overlays, decoded again from the page's data URIs."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from usssl.engine.report import SaliencyExample
from usssl.engine.report.pictures import overlay, saliency_pictures, thumbnail


def decoded(uri):
    return cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_thumbnails_keep_shape_and_colour():
    frame = np.zeros((400, 720, 3), np.uint8)
    frame[..., 0] = 200
    small = decoded(thumbnail(frame))
    assert small.shape == (200, 360, 3)
    np.testing.assert_allclose(small.reshape(-1, 3).mean(axis=0), [200, 0, 0], atol=3)
    grey = np.tile(np.arange(100, dtype=np.uint8), (50, 1))
    np.testing.assert_allclose(decoded(thumbnail(grey))[..., 1], grey, atol=8)


def test_overlay_is_strongest_where_the_map_is_and_leaves_the_rest():
    frame = np.full((90, 120, 3), 60, np.uint8)
    values = np.zeros((45, 60))
    values[10, 50] = 0.003
    changed = np.abs(overlay(frame, values).astype(int) - 60).sum(axis=2)
    assert np.hypot(*(np.subtract(np.unravel_index(changed.argmax(), changed.shape), (20.5, 100.5)))) < 3
    assert changed[:, :80].max() == 0
    np.testing.assert_array_equal(overlay(frame, np.zeros((4, 4))), frame)


@pytest.mark.parametrize(
    ("truth", "fixations", "captions"),
    [
        (True, True, ["Frame", "Recorded gaze", "Predicted"]),
        (False, True, ["Frame", "Recorded gaze", "Predicted"]),
        (True, False, ["Frame", "Recorded gaze", "Predicted"]),
        (False, False, ["Frame", "Predicted"]),
    ],
)
def test_a_missing_truth_is_left_out(truth, fixations, captions):
    example = SaliencyExample(
        "c", 0.0, np.zeros((60, 80), np.uint8), np.ones((6, 8)),
        np.ones((60, 80)) if truth else None, np.array([[30.0, 40.0]]) if fixations else None,
    )  # fmt: skip
    assert [caption for caption, _ in saliency_pictures(example)] == captions


def test_gaze_rings_stand_where_the_gaze_was_in_a_shrunken_frame():
    example = SaliencyExample(
        "c", 0.0, np.zeros((480, 720), np.uint8), np.zeros((6, 8)), None, np.array([[100.0, 600.0]])
    )
    ring = decoded(dict(saliency_pictures(example))["Recorded gaze"]).max(axis=2) > 90
    assert np.argwhere(ring).mean(axis=0) == pytest.approx((50, 300), abs=1)
