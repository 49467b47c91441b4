"""Small simulated things that the phantom's tests share."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from usssl.phantom import Patient, SimulatedCine, sample_patient, simulate_cine

SIZE = (120, 160)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def cine() -> SimulatedCine:
    """One short cine."""
    return simulate_cine(0, 3, size=SIZE, frames=32)


@pytest.fixture(scope="session")
def patients() -> list[Patient]:
    """Different examinations."""
    return [sample_patient(np.random.default_rng([7, number]), SIZE) for number in range(12)]
