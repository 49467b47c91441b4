"""Running a bundle over a cine from the panel: the result of `Bundle.predict`, and a stop at any frame."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari_usssl.predicting import predict

from tests.napari.conftest import DARK_UNTIL, FRAMES
from usssl.bundle import PredictionStoppedError, open_bundle
from usssl.cine import open_cine


def test_it_gives_what_the_bundle_gives_on_grey_frames(video: Path, bundle: Path) -> None:
    opened = open_bundle(bundle, device="cpu", threads=1)
    told: list[tuple[int, int]] = []
    found = predict(video, opened, lambda *state: told.append(state), lambda: False)
    with open_cine(video, color="grey") as cine:
        truth = opened.predict(np.asarray(cine))
    np.testing.assert_allclose(found.plane_probs, truth.plane_probs, atol=1e-6)
    np.testing.assert_allclose(found.times, np.arange(FRAMES) / 20, atol=1e-6)
    assert (found.plane_probs.argmax(axis=1) == np.where(np.arange(FRAMES) < DARK_UNTIL, 1, 2)).all()
    assert found.embedding is None
    assert told[-1] == (FRAMES, FRAMES)


def test_it_stops_while_frames_are_read(video: Path, bundle: Path) -> None:
    """The bundle reads frames before its first call of the model; the stop is heard there, too."""
    opened = open_bundle(bundle, device="cpu", threads=1)
    asked: list[str] = []

    def should_stop() -> bool:
        asked.append(threading.current_thread().name)
        return len(asked) == 3

    with pytest.raises(PredictionStoppedError):
        predict(video, opened, lambda *_: pytest.fail("no call of the model was made"), should_stop)
