"""Seeds and the variety of subjects."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from usssl.phantom import simulate_cine


def test_same_seed_same_bytes(cine):
    again = simulate_cine(0, 3, size=(120, 160), frames=32)
    assert again.frames.tobytes() == cine.frames.tobytes()
    assert again.planes == cine.planes
    assert (again.gaze.position == cine.gaze.position).all()


def test_bytes_do_not_depend_on_threads(cine):
    cv2.setNumThreads(2)
    try:
        again = simulate_cine(0, 3, size=(120, 160), frames=4)
        cv2.setNumThreads(1)
        assert again.frames.tobytes() == simulate_cine(0, 3, size=(120, 160), frames=4).frames.tobytes()
    finally:
        cv2.setNumThreads(1)


def test_other_seeds_patients_and_numbers_give_other_cines():
    cines = [simulate_cine(*which, size=(60, 80), frames=2) for which in ((0, 1), (1, 1), (0, 2), (0, 1, 2))]
    for one, other in itertools.combinations(cines, 2):
        assert (one.frames != other.frames).mean() > 0.1
    # A second cine of a patient shows the same patient.
    assert cines[0].patient.identity == cines[3].patient.identity
    assert cines[0].patient.identity != cines[2].patient.identity


def test_frames_are_what_they_say(cine):
    assert cine.frames.shape == (32, 120, 160)
    assert cine.frames.dtype == np.uint8
    assert len(cine.planes) == 32
    assert 25 <= cine.fps <= 30
    assert cine.spacing_mm[0] == pytest.approx(cine.spacing_mm[1])
    assert cine.saliency.shape == (32, 30, 40)
    assert cine.frames[:, cine.sector.mask].std() > 20


def test_consecutive_frames_differ_yet_belong_together(cine):
    moving = cine.frames[:, cine.sector.mask].astype(float)
    steps = [np.abs(a - b).mean() for a, b in itertools.pairwise(moving)]
    assert min(steps) > 0.5
    apart = np.abs(moving[0] - moving[-1]).mean()
    assert np.median(steps) < apart


def test_subjects_differ(patients):
    def spread(value) -> float:
        values = np.array([value(patient) for patient in patients], float)
        return float(values.std() / max(abs(values.mean()), 1e-9))

    assert spread(lambda patient: patient.scene.fetus.head.radii[0]) > 0.05
    assert spread(lambda patient: patient.scene.fetus.trunk.radius) > 0.05
    assert spread(lambda patient: patient.scanner.sector.depth_mm) > 0.05
    assert spread(lambda patient: patient.scanner.settings.gain_db) > 0.5
    assert len({patient.scanner.sector.mirrored for patient in patients}) == 2
    assert len({patient.layout.vendor for patient in patients}) >= 3
    lies = np.stack([patient.scene.fetus.lie.axes[:, 2] for patient in patients])
    assert np.linalg.norm(lies.mean(axis=0)) < 0.6
    # Back up or down, left or right: the front of the fetus looks anywhere but away from the probe's reach.
    assert np.ptp([patient.scene.fetus.lie.axes[2, 1] for patient in patients]) > 0.8


def test_situs_is_that_of_people(patients):
    """Stomach and apex of the heart are on the left, in right-handed axes; so are the left chambers."""
    for patient in patients:
        trunk = patient.scene.fetus.trunk
        assert trunk.landmarks()["stomach"][0] < 0
        assert trunk.heart_axes[0, 0] < 0
        assert np.linalg.det(trunk.heart_axes) == pytest.approx(1.0)
        assert np.linalg.det(patient.scene.fetus.lie.axes) == pytest.approx(1.0)
        left, right = (trunk.landmarks()[f"{side} ventricle"] for side in ("left", "right"))
        assert left[0] < right[0]
