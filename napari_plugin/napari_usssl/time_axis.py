"""Where frames lie on the timeline, as plain geometry without Qt.

Frame i fills the stretch from i to i + 1 of the axis; the view is a part of the axis, spread over some pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FEWEST_FRAMES = 8.0
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class TimeAxis:
    """The visible part of a cine's frames on a line of pixels.

    Attributes:
        frames: frames of the cine.
        left: first pixel of the line.
        width: pixels of the line.
        start: where the view starts, in frames.
        stop: where it stops.
    """

    frames: int
    left: float
    width: float
    start: float
    stop: float

    @classmethod
    def whole(cls, frames: int, left: float, width: float) -> TimeAxis:
        """An axis that shows all frames."""
        return cls(max(1, frames), left, max(1.0, width), 0.0, float(max(1, frames)))

    def placed(self, left: float, width: float) -> TimeAxis:
        """The same view on other pixels."""
        return replace(self, left=left, width=max(1.0, width))

    @property
    def pixels_a_frame(self) -> float:
        """Width of a frame."""
        return self.width / (self.stop - self.start)

    def x(self, frame: float) -> float:
        """The pixel of a frame's middle; that of the first frame's left edge is `x(-0.5)`."""
        return self.left + (frame + 0.5 - self.start) * self.pixels_a_frame

    def frame(self, x: float) -> int:
        """The frame at a pixel; the nearest visible one past either end."""
        exact = self.start + (x - self.left) / self.pixels_a_frame
        last = min(self.frames - 1, math.ceil(self.stop) - 1)
        return int(min(max(math.floor(exact), math.floor(self.start), 0), last))

    def zoomed(self, factor: float, x: float) -> TimeAxis:
        """Zooms in (`factor` > 1) or out, with what is at pixel `x` staying there."""
        span = min(max((self.stop - self.start) / factor, min(FEWEST_FRAMES, self.frames)), float(self.frames))
        fixed = self.start + (x - self.left) / self.pixels_a_frame
        start = fixed - (x - self.left) / self.width * span
        return self._at(start, span)

    def revealing(self, frame: int) -> TimeAxis:
        """The same view, moved by as little as shows this frame."""
        if self.start <= frame and frame + 1 <= self.stop:
            return self
        span = self.stop - self.start
        return self._at(frame if frame < self.start else frame + 1 - span, span)

    def visible(self) -> range:
        """Frames that are at least partly in view."""
        return range(max(0, math.floor(self.start)), min(self.frames, math.ceil(self.stop)))

    def ticks(self, times: Sequence[float], apart: float = 70.0) -> list[tuple[float, str]]:
        """Marks at round seconds, or at round frame numbers where the cine has no clock.

        Args:
            times: seconds of each frame.
            apart: the least distance of two marks, in pixels.

        Returns:
            (pixel, text) for each mark.
        """
        clock = np.asarray(times, np.float64)
        has_clock = len(clock) > 1 and bool(np.isfinite(clock).all()) and clock[-1] > clock[0]
        numbers = np.arange(self.frames)
        values = clock if has_clock else numbers.astype(np.float64)
        low, high = (float(np.interp(edge, numbers, values)) for edge in (self.start, self.stop - 1))
        step = _round_step((high - low) / max(1.0, self.width / apart), least=0.001 if has_clock else 1.0)
        first = math.ceil(low / step - 1e-9)
        marks = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
        return [(self.x(float(np.interp(mark, values, numbers))), _tick_text(mark, step, has_clock)) for mark in marks]

    def _at(self, start: float, span: float) -> TimeAxis:
        start = min(max(start, 0.0), self.frames - span)
        return replace(self, start=start, stop=start + span)


def envelope(values: npt.NDArray[np.float32], axis: TimeAxis) -> npt.NDArray[np.float64]:
    """The curve of a value over the view: points (n, 2) of (pixel, value), ascending in pixels.

    Where several frames share a pixel their greatest value stands for them, so that a long cine shows its short peaks.

    Args:
        values: one a frame, (T,).
        axis: the view.
    """
    view = axis.visible()
    part = np.asarray(values[view.start : view.stop], np.float64)
    if not len(part):
        return np.empty((0, 2))
    if axis.pixels_a_frame >= 1:
        return np.column_stack([[axis.x(frame) for frame in view], part])
    pixels = np.array([math.floor(axis.x(frame)) for frame in view])
    starts = np.flatnonzero(np.r_[True, np.diff(pixels) > 0])
    return np.column_stack([pixels[starts] + 0.5, np.maximum.reduceat(part, starts)])


def _round_step(step: float, least: float) -> float:
    step = max(step, least)
    power = 10.0 ** math.floor(math.log10(step))
    return next((n * power for n in _STEPS if n * power >= step * (1 - 1e-9)), 10 * power)


def _tick_text(value: float, step: float, is_seconds: bool) -> str:
    if not is_seconds:
        return f"{value:.0f}"
    if value >= 60:
        minutes, seconds = divmod(value, 60)
        return f"{minutes:.0f}:{seconds:02.0f}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f} s"
