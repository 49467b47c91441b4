"""Which clips of a cine a clip model sees, so that every frame gets its row: one law for measuring and for predicting.

A clip of `clip` frames, `stride` frames of the cine apart, is an array of frame numbers. A whole cine is seen through
windows half a clip apart, so that a frame stands in about two of them and its row is their mean; none begins before the
first frame or ends after the last one. Only a cine that is too short for a clip repeats its last frame to fill it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def clip_windows(frames: int, clip: int, stride: int) -> Indices:
    """The windows through which a whole cine is seen.

    Args:
        frames: number of frames of the cine.
        clip: frames the model takes at once.
        stride: step between a clip's frames.

    Returns:
        `(windows, clip)` in the order of their first frames, all different. Indices past the end of a short cine repeat
        its last frame.
    """
    offsets = np.arange(clip) * stride
    starts: set[int] = set()
    for phase in range(min(stride, frames)):
        last = _last_start(frames, clip, stride, phase)
        starts.update(range(phase, last + 1, max(1, clip // 2) * stride))
        starts.add(last)
    return np.minimum(np.array(sorted(starts))[:, None] + offsets, frames - 1)


def windows_with(frame: int, frames: int, clip: int, stride: int) -> Indices:
    """All clips that may show a frame, one for each of its places in them that the cine has room for.

    Returns:
        `(places, clip)`; the frame's place, at its first appearance, grows from row to row.
    """
    phase, before = frame % stride, frame // stride
    steps = (_last_start(frames, clip, stride, phase) - phase) // stride  # starts are phase + 0 … steps strides
    places = np.arange(max(0, before - steps), min(clip - 1, before) + 1)
    starts = frame - places * stride
    return np.minimum(starts[:, None] + np.arange(clip) * stride, frames - 1)


def real_places(window: Indices) -> npt.NDArray[np.bool_]:
    """Which places of a clip show a frame for the first time; the rest repeat the last one to fill a short cine."""
    return np.r_[True, np.diff(window) > 0]


def _last_start(frames: int, clip: int, stride: int, phase: int) -> int:
    """The last start, among `phase`, `phase + stride`, …, of a clip that ends inside the cine; `phase` if none does."""
    last = max(frames - 1 - (clip - 1) * stride, phase)
    return last - (last - phase) % stride
