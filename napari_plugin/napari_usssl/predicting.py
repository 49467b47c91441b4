"""Runs a bundle over a cine, so that it can be stopped at any frame. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from usssl.bundle import Bundle, Prediction, PredictionStoppedError
from usssl.cine import Cine, open_cine

WANTED = ("plane_probs", "saliency", "cine_probs")


class StoppableCine:
    """A cine that refuses to give frames once it is told to stop.

    A bundle asks whether to stop before each call of the model; reading the frames of one call may take longer than a
    person waits.
    """

    def __init__(self, cine: Cine, should_stop: Callable[[], bool]) -> None:
        self._cine = cine
        self._should_stop = should_stop
        self.shape = cine.shape
        self.dtype = cine.dtype
        self.times = cine.times

    def __getitem__(self, key: slice) -> Any:
        if self._should_stop():
            raise PredictionStoppedError("stopped before the end of the cine, as asked")
        return self._cine[key]


def predict(
    path: Path, bundle: Bundle, progress: Callable[[int, int], None], should_stop: Callable[[], bool]
) -> Prediction:
    """Runs a bundle over the cine in a file, on a handle of its own, with the frames that `usssl predict` gives it.

    Args:
        path: the cine.
        bundle: what to run; of its outputs, those of `WANTED`.
        progress: called with (frames done, frames in all).
        should_stop: asked often; True ends the work.

    Raises:
        UssslError: as `Bundle.predict`; `PredictionStoppedError` when stopped.
    """
    with open_cine(path, color="rgb" if bundle.session.colour else "grey") as cine:
        return bundle.predict(
            StoppableCine(cine, should_stop),
            outputs=[name for name in bundle.outputs if name in WANTED],
            progress=progress,
            should_stop=should_stop,
        )
