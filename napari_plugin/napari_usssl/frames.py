"""`CineFrames`: a cine as the lazy array of an image layer, quick enough to scrub and to play.

A step in H.264 costs up to a whole group of pictures, so frames are kept once decoded, within a bound, and a thread
decodes ahead of the frame in view (`read_ahead.py`).
"""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_usssl.read_ahead import ReadAhead
from usssl.errors import CineError

if TYPE_CHECKING:
    from usssl.cine import Cine

MEMORY = 1 << 30
"""Bytes that the frames of all open cines together may take."""
_LEAST_FRAMES = 32
_open: weakref.WeakSet[CineFrames] = weakref.WeakSet()


class CineFrames:
    """The frames of a cine as an array-like uint8 `(T, H, W)` or `(T, H, W, 3)` that napari slices.

    A frame that is damaged comes out black, never as its neighbour, and `damage` says why. It may be used from several
    threads. The thread that reads ahead ends with `close`, or when nothing holds this object any more.

    Attributes:
        cine: the cine; only this class reads frames from it.
        damage: for each damaged frame that was looked at, the reason.
    """

    def __init__(self, cine: Cine, memory: int = MEMORY) -> None:
        """Takes the cine over; `memory` is shared with the other open cines."""
        self.cine = cine
        self.damage: dict[int, str] = {}
        self._memory = memory
        self._ahead = ReadAhead(cine, copy.copy(cine), capacity=_LEAST_FRAMES)
        weakref.finalize(self, self._ahead.close)
        _open.add(self)
        _share_memory()

    @property
    def path(self) -> Path:
        """The file; its name may hold a patient's name, so no layer shows it."""
        return self.cine.source

    @property
    def shape(self) -> tuple[int, ...]:
        """`(T, H, W)` or `(T, H, W, 3)`."""
        return self.cine.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """3 or 4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the whole cine once decoded; far fewer are held."""
        return self.size

    @property
    def cached(self) -> int:
        """How many frames are in memory now."""
        return len(self._ahead)

    def frame(self, number: int) -> npt.NDArray[np.uint8]:
        """One frame, read-only, `(H, W)` or `(H, W, 3)`; black where it is damaged."""
        try:
            return self._ahead.frame(number)
        except CineError as error:
            self.damage[number] = error.reason
            black = np.zeros(self.shape[1:], np.uint8)
            black.flags.writeable = False
            return black

    def close(self) -> None:
        """Ends reading ahead and releases file and frames; a later look at a frame opens the file again."""
        _open.discard(self)
        self._ahead.close()
        _share_memory()

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if first is Ellipsis or (isinstance(key, tuple) and not key):
            return np.asarray(self)[key]
        if isinstance(first, int | np.integer):
            frame = self.frame(range(len(self))[first])
            return frame[rest] if rest else frame
        numbers = np.arange(len(self))[first]
        # Cropped frame by frame, so that a profile over time does not hold the whole cine.
        cropped = [self.frame(int(number))[rest] for number in numbers]
        return np.stack(cropped) if cropped else np.empty((0, *self.shape[1:]), np.uint8)[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a cine is decoded, so an array of it is always a copy")
        frames = self[:]
        return frames if dtype is None else frames.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]


def _share_memory() -> None:
    """Gives each open cine an equal part of the memory, and enough frames to play."""
    cines = list(_open)
    for frames in cines:
        one = max(1, int(np.prod(frames.shape[1:])))
        frames._ahead.set_capacity(max(_LEAST_FRAMES, frames._memory // len(cines) // one))
