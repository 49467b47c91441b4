"""When each frame of a DICOM cine was taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from usssl.cine.dicom_values import value_of
from usssl.cine.source import even_times

_FRAME_TIME = 0x00181063
_FRAME_TIME_VECTOR = 0x00181065
_DISAGREE = 0.1  # rates further apart than this are worth a warning


def frame_times(dataset: Any, frames: int) -> tuple[float | None, np.ndarray, str, tuple[str, ...]]:
    """Frame rate and times, by the standard's order of precedence.

    PS3.3 C.7.6.6 makes the Frame Increment Pointer (0028,0009) say which attribute spaces the frames: it comes first,
    be it Frame Time Vector (0018,1065) or Frame Time (0018,1063), both in milliseconds (C.7.6.5.1.1, C.7.6.5.1.2).
    Where it is missing or points elsewhere: Frame Time Vector, Frame Time, Actual Frame Duration (0018,1242, ms), Cine
    Rate (0018,0040, frames a second), and last Recommended Display Frame Rate (0008,2144), which speaks of playback
    only. Values that are not positive are passed over.

    Args:
        dataset: the pydicom data set.
        frames: frames that can be read.

    Returns:
        (frames a second or None, seconds float64 `(frames,)`, name of the attribute used or `none`, warnings).
    """
    readers: dict[str, Callable[[], np.ndarray | None]] = {
        "FrameTimeVector": lambda: _from_vector(dataset, frames),
        "FrameTime": lambda: _from_rate(_milliseconds(dataset, "FrameTime"), frames),
        "ActualFrameDuration": lambda: _from_rate(_milliseconds(dataset, "ActualFrameDuration"), frames),
        "CineRate": lambda: _from_rate(_number(dataset, "CineRate"), frames),
        "RecommendedDisplayFrameRate": lambda: _from_rate(_number(dataset, "RecommendedDisplayFrameRate"), frames),
    }
    if _pointer(dataset) == _FRAME_TIME:
        readers = {"FrameTime": readers.pop("FrameTime"), **readers}
    for name, read in readers.items():
        times = read()
        if times is not None:
            fps = _rate(dataset, name, times)
            return fps, times, name, tuple(_warnings(dataset, name, fps, frames))
    return None, even_times(frames, None), "none", tuple(_warnings(dataset, "none", None, frames))


def _pointer(dataset: Any) -> int:
    value = dataset.get("FrameIncrementPointer")
    if isinstance(value, (list, tuple)) or hasattr(value, "__iter__"):
        value = next(iter(value), None)
    try:
        return int(value) if value is not None else _FRAME_TIME_VECTOR
    except (TypeError, ValueError):
        return _FRAME_TIME_VECTOR


def _from_vector(dataset: Any, frames: int) -> np.ndarray | None:
    """The increments before each frame, the first of them zero; some writers leave that zero out."""
    increments = _vector(dataset)
    if increments is None or frames < 2:
        return None
    if len(increments) == frames - 1:
        increments = np.concatenate([[0.0], increments])
    if len(increments) < frames or not (increments[1:frames] > 0).all():
        return None
    return np.concatenate([[0.0], np.cumsum(increments[1:frames])]) / 1000.0


def _vector(dataset: Any) -> np.ndarray | None:
    value = value_of(dataset, "FrameTimeVector")
    if value is None or value == "":
        return None
    try:
        return np.atleast_1d(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        return None


def _from_rate(fps: float | None, frames: int) -> np.ndarray | None:
    return even_times(frames, fps) if fps else None


def _rate(dataset: Any, name: str, times: np.ndarray) -> float:
    if name == "FrameTimeVector":
        return (len(times) - 1) / float(times[-1])
    if name in ("FrameTime", "ActualFrameDuration"):
        return _milliseconds(dataset, name) or 0.0
    return _number(dataset, name) or 0.0


def _milliseconds(dataset: Any, keyword: str) -> float | None:
    value = _number(dataset, keyword)
    return 1000.0 / value if value else None


def _number(dataset: Any, keyword: str) -> float | None:
    """The value where it is one positive number within reason, else None."""
    try:
        value = float(value_of(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return value if 1e-3 <= value <= 1e7 else None


def _warnings(dataset: Any, used: str, fps: float | None, frames: int) -> list[str]:
    notes = []
    if frames > 1 and used != "FrameTimeVector" and _vector(dataset) is not None and _pointer(dataset) != _FRAME_TIME:
        notes.append("its FrameTimeVector does not fit the number of frames or does not ascend, and was not used")
    stated = _number(dataset, "CineRate")
    if fps and stated and used != "CineRate" and abs(stated / fps - 1) > _DISAGREE:
        notes.append(f"{used} gives {fps:.4g} frames a second, CineRate {stated:.4g}")
    if fps is None and frames > 1:
        notes.append("the file states no frame rate")
    return notes
