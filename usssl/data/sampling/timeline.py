"""When each frame of a cine was taken, and which clips lie in it whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAP = 3.0
"""A pause between two frames longer than this many median frame intervals is a gap: no clip reaches over it."""


@dataclass(frozen=True)
class Clip:
    """Frames chosen from a cine.

    Attributes:
        frames: `(time,)` indices into the cine, int64.
        start_s: when the first of them was taken, seconds.
        step_s: mean time from one to the next, seconds; NaN for a single frame and for a looped clip.
        looped: the cine was too short and began anew within the clip, so that its times must not be used.
    """

    frames: np.ndarray
    start_s: float
    step_s: float
    looped: bool = False


@dataclass(frozen=True)
class Timeline:
    """The times of a cine's frames.

    Attributes:
        times_s: `(frames,)` seconds, increasing.
        known: false where the file does not tell when its frames were taken; `times_s` then counts frames.
    """

    times_s: np.ndarray
    known: bool = True

    def __post_init__(self) -> None:
        times = np.asarray(self.times_s, dtype=np.float64)
        if times.ndim != 1 or len(times) == 0:
            raise ValueError("a cine must have at least one frame")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError("frame times must be finite and increase; index the cine again or give its fps")
        object.__setattr__(self, "times_s", times)

    @classmethod
    def regular(cls, frames: int, fps: float) -> Timeline:
        """The timeline of a cine with a constant frame rate."""
        if not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        return cls(np.arange(frames) / fps)

    @classmethod
    def of(cls, times_s: np.ndarray) -> Timeline:
        """The timeline of stated times, NaN where the file does not say; times that do not increase tell nothing."""
        times = np.asarray(times_s, dtype=np.float64)
        known = np.isfinite(times).all() and (np.diff(times) > 0).all()
        return cls(times) if known else cls(np.arange(len(times), dtype=np.float64), known=False)

    def __len__(self) -> int:
        return len(self.times_s)

    def taken_s(self, clip: Clip) -> np.ndarray:
        """When each frame of a clip was taken, `(time,)` seconds; NaN where that is not known."""
        return self.times_s[clip.frames] if self.known else np.full(len(clip.frames), np.nan)

    @property
    def interval_s(self) -> float:
        """Median time from frame to frame; 1 s for a single frame, where nothing depends on it."""
        return float(np.median(np.diff(self.times_s))) if len(self) > 1 else 1.0

    @property
    def gaps(self) -> np.ndarray:
        """Bool `(frames - 1,)`: true between frames i and i + 1 if the recording paused there."""
        return np.diff(self.times_s) > GAP * self.interval_s

    def windows(self, count: int, stride: int | None = None, step_s: float | None = None) -> np.ndarray:
        """All clips of `count` frames that lie in the cine whole and reach over no gap.

        Args:
            count: frames in a clip.
            stride: frames from one to the next.
            step_s: seconds from one to the next, in place of `stride`: the nearest frames are taken, each once.

        Returns:
            `(clips, count)` int64 frame indices, strictly increasing along a row, first frames increasing along rows.
        """
        if count < 1:
            raise ValueError(f"a clip must have at least one frame, got {count}")
        starts = np.arange(len(self))[:, None]
        steps = np.arange(count)[None, :]
        if step_s is None:
            indices = starts + steps * self._stride(stride)
        else:
            indices = self.nearest(self.times_s[:, None] + steps * step_s)
            indices = np.maximum.accumulate(indices - steps, axis=1) + steps
        inside = indices[:, -1] < len(self)
        if step_s is not None:
            ends = self.times_s + (count - 1) * step_s
            inside &= ends <= self.times_s[-1] + self.interval_s / 2
        indices = indices[inside]
        section = np.concatenate([[0], np.cumsum(self.gaps)])
        return indices[section[indices[:, 0]] == section[indices[:, -1]]]

    def clip(self, frames: np.ndarray) -> Clip:
        """The record of some frames, given in their order in time."""
        times = self.times_s[frames]
        step = (times[-1] - times[0]) / (len(frames) - 1) if len(frames) > 1 else np.nan
        return Clip(np.asarray(frames, dtype=np.int64), float(times[0]), float(step))

    def looped_clip(self, start: int, count: int, stride: int | None = None, step_s: float | None = None) -> Clip:
        """A clip that begins anew where the cine ends, for cines too short to hold it; flagged."""
        stride = self._stride(stride) if step_s is None else max(1, round(step_s / self.interval_s))
        frames = (start + stride * np.arange(count, dtype=np.int64)) % len(self)
        return Clip(frames, float(self.times_s[start]), np.nan, looped=True)

    def nearest(self, times: np.ndarray) -> np.ndarray:
        """The frame nearest to each of some times in seconds; indices of the same shape."""
        after = np.clip(np.searchsorted(self.times_s, times), 1, max(1, len(self) - 1))
        before = after - 1
        after = np.minimum(after, len(self) - 1)
        return np.where(times - self.times_s[before] <= self.times_s[after] - times, before, after)

    @staticmethod
    def _stride(stride: int | None) -> int:
        if stride is None or stride < 1:
            raise ValueError(f"stride must be at least 1 frame, got {stride}")
        return stride
