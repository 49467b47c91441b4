"""Which frame to show when, while a cine plays: pure, without Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ASSUMED_FPS = 25.0


@dataclass(frozen=True, eq=False)
class PlayClock:
    """The times at which the frames of a looping cine are due.

    Attributes:
        due: seconds from the start of a loop at which each frame is due, (T,), ascending from 0.
        loop: seconds of one loop.
        is_assumed: the cine has no clock, and `ASSUMED_FPS` stands in.
    """

    due: npt.NDArray[np.float64]
    loop: float
    is_assumed: bool

    @classmethod
    def of(cls, times: Sequence[float]) -> PlayClock:
        """The clock of a cine with these times, (T,) in seconds."""
        clock = np.asarray(times, np.float64)
        steps = np.diff(clock)
        is_assumed = len(clock) < 2 or not np.isfinite(clock).all() or bool((steps < 0).any()) or clock[-1] <= clock[0]
        if is_assumed:
            clock = np.arange(len(clock)) / ASSUMED_FPS
            steps = np.diff(clock)
        # The last frame stays as long as frames usually do.
        last = float(np.median(steps)) if len(steps) else 1 / ASSUMED_FPS
        return cls(clock - clock[0], float(clock[-1] - clock[0]) + last, is_assumed)

    def frame_after(self, start: int, seconds: float) -> int:
        """The frame that is due this long after frame `start`; past the end it goes on from the first."""
        now = (float(self.due[start]) + seconds) % self.loop
        return int(np.searchsorted(self.due, now, side="right")) - 1

    @property
    def shortest_step(self) -> float:
        """Seconds between the closest frames that follow each other."""
        steps = np.diff(self.due)
        return float(steps[steps > 0].min()) if (steps > 0).any() else self.loop
