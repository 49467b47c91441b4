"""Gaze: on landmarks, not quite on the spot, and late."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.phantom import ProbePath, Sector
from usssl.phantom.gaze import SAMPLES_PER_FRAME, Gaze, watch
from usssl.phantom.poses import Frame, Pose
from usssl.phantom.scene import Instant

SECTOR = Sector(50.0, 34.0, 120.0, 40, 80, (120, 160), (10, 8, 155, 119))
STILL = Instant(Frame(np.eye(3), np.zeros(3)))


def sliding(frames: int, step_mm: float) -> ProbePath:
    """The probe slides to the left, so that everything goes to the right."""
    poses = tuple(Pose(np.array([20.0 - step_mm * k, 0.0, 0.0]), np.eye(3)) for k in range(frames))
    return ProbePath(poses, (STILL,) * frames)


def test_gaze_follows_a_landmark_late_and_misses_a_little():
    path = sliding(120, 0.3)
    spot = np.array([0.0, 0.0, 60.0])
    lags, misses = [], []
    for seed in range(12):
        gaze = watch(np.random.default_rng(seed), path, {"crux": spot}, SECTOR, 30.0)
        x = gaze.position[:, 0].reshape(-1, SAMPLES_PER_FRAME).mean(axis=1)
        truth = (
            np.array([SECTOR.to_pixels(*pose.image_coordinates(spot)[[0, 2]])[0] + 0.5 for pose in path.poses]) / 160
        )
        per_frame = np.diff(truth).mean()
        rest = (truth - x)[20:]
        lags.append(np.median(rest) / per_frame / 30.0)
        misses.append(np.std(rest))
    assert 0.07 < np.mean(lags) < 0.25
    assert 0.002 < np.median(misses) < 0.05


def test_gaze_of_a_cine_is_near_landmarks_of_the_labelled_plane(cine):
    """While a standard plane is shown, most samples lie within 12 % of the frame of one of its landmarks."""
    planes = {plane.name: plane for plane in cine.patient.scene.fetus.planes()}
    spots = cine.patient.scene.fetus.landmarks()
    everything = np.stack(list(spots.values()))
    close = []
    for frame, place in zip(cine.gaze.frame, cine.gaze.position, strict=True):
        if cine.planes[frame] not in planes:
            continue
        pose, instant = cine.path.poses[frame], cine.path.instants[frame]
        seen = pose.image_coordinates(instant.fetus.outer(everything))
        seen = seen[np.abs(seen[:, 1]) < 8]
        x, y = cine.sector.to_pixels(seen[:, 0], seen[:, 2])
        close.append(np.hypot(x / 160 - place[0], y / 120 - place[1]).min() < 0.12)
    assert len(close) > 10
    assert np.mean(close) > 0.75


def test_gaze_samples_stay_on_the_frame_and_in_time(cine):
    assert cine.gaze.position.min() >= 0
    assert cine.gaze.position.max() <= 1
    assert (np.bincount(cine.gaze.frame, minlength=32) == SAMPLES_PER_FRAME).all()
    assert (np.diff(cine.gaze.time_s) > 0).all()
    assert (np.floor(cine.gaze.time_s * cine.fps + 1e-9) == cine.gaze.frame).all()


def test_saliency_peaks_where_the_eye_rests():
    """Two samples a frame, 40 frames, at one place, then at another: maps follow, on a quarter of the grid."""
    position = np.repeat([[0.25, 0.5], [0.75, 0.25]], 40, axis=0)
    gaze = Gaze(np.repeat(np.arange(40), 2), np.arange(80) / 60, position)
    maps = gaze.saliency(40, (120, 160), 30.0)
    assert maps.shape == (40, 30, 40)
    assert maps.dtype == np.uint8
    assert (maps.reshape(40, -1).max(axis=1) == 255).all()
    row, column = np.unravel_index(maps[5].argmax(), (30, 40))
    assert (column, row) == pytest.approx((0.25 * 40, 0.5 * 30), abs=1)
    row, column = np.unravel_index(maps[35].argmax(), (30, 40))
    assert (column, row) == pytest.approx((0.75 * 40, 0.25 * 30), abs=1)
    # At the change both are seen, within 0.2 s; well before it the second is not.
    assert maps[20, 15, 10] > 100
    assert maps[20, 7, 30] > 100
    assert maps[5, 7, 30] == 0
