"""`Cine`: one video loop with its facts, an array that decodes only what is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from usssl.cine.content_hash import content_hash
from usssl.cine.facts import Audio, CineFacts, Color, Limits, Region
from usssl.cine.faults import typed_faults
from usssl.cine.source import FrameSource
from usssl.errors import CineError, CineLimitError


class Cine:
    """A cine: array-like uint8 `(T, H, W)` or `(T, H, W, 3)`.

    `cine[3]`, `cine[10:26:2]`, `cine[::-1]` and `cine[[5, 1]]` decode only these frames; further indices
    (`cine[:8, 20:200, 40:300]`) crop what was decoded. `np.asarray(cine)` reads it all. Nothing decoded is kept. A cine
    can be pickled and used after a fork: it opens its file again. It is not for several threads at once.

    Attributes:
        source: the file or folder.
        facts: the record that the catalogue keeps.
        times: seconds of each frame from the first, float64 `(T,)`; NaN from the second on where the file does not say.
        regions: calibrated regions, for ultrasound DICOM.
        poses: for tracked sequences float64 `(T, 4, 4)` transforms in mm by name, such as `ProbeToTracker`, NaN where
            the tracker lost sight; None for all others.
    """

    def __init__(self, path: Path, reopen: Callable[[], FrameSource], color: Color, limits: Limits) -> None:
        self.source = path
        self._reopen = reopen
        self._color = color
        self._limits = limits
        self._stamp = _stamp(path)
        self._backend: FrameSource | None = reopen()
        self._owner = os.getpid()
        self._id: str | None = None
        self._audio: Audio | None = None
        self._audio_read = False
        self._patient: str | None = None
        self._patient_read = False
        self.facts: CineFacts = self._backend.facts
        self.times: np.ndarray = self._backend.times
        self.regions: tuple[Region, ...] = self._backend.regions
        self.poses: dict[str, np.ndarray] | None = self._backend.poses
        self._channels = {"native": self._backend.channels, "grey": 1, "rgb": 3}[color]

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W), or (T, H, W, 3) for colour."""
        size = (self.facts.frames, self.facts.height, self.facts.width)
        return size if self._channels == 1 else (*size, 3)

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """3 (grey) or 4 (RGB)."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the whole cine once decoded."""
        return self.size

    @property
    def fps(self) -> float | None:
        """Frames a second, or None where the file does not say."""
        return self.facts.fps

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """(row, column) spacing of the B-mode image in mm, or None."""
        return self.facts.spacing_mm

    @property
    def id(self) -> str:
        """SHA-256 of the file's content, 32 hex digits: the same for a copy under another name."""
        if self._id is None:
            self._id = content_hash(self.source)
        return self._id

    @property
    def patient(self) -> str | None:
        """The patient's pseudonym under this user's key, the same for all cines of a patient; None where none is named.

        Raises:
            UsageError: if the pseudonym key cannot be read.
            OutputError: if it has to be made and cannot be written.
        """
        if not self._patient_read:
            self._patient = self._opened().patient()
            self._patient_read = True
        return self._patient

    @property
    def audio(self) -> Audio | None:
        """The sound, decoded at the first use, or None where there is no track; see `Audio.is_silent`."""
        if not self._audio_read:
            with typed_faults(self.source):
                self._audio = self._opened().audio() if self.facts.has_audio else None
            self._audio_read = True
        return self._audio

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames in the order asked for; repeats and negative indices are allowed.

        Args:
            indices: frame numbers, each in [-T, T).

        Returns:
            uint8 `(n, H, W)` or `(n, H, W, 3)`.

        Raises:
            IndexError: for a number outside the cine.
            CineError: if one of the frames is damaged.
            CineLimitError: if the frames together exceed `Limits.max_read_pixels`.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        frames = self.facts.frames
        if wanted.size and (wanted.min() < -frames or wanted.max() >= frames):
            raise IndexError(f"frame {int(wanted.max())} of {self.source}, which has {frames}")
        wanted = np.where(wanted < 0, wanted + frames, wanted)
        shape = (len(wanted), *self.shape[1:])
        if int(np.prod(shape, dtype=np.float64)) > self._limits.max_read_pixels:
            raise CineLimitError(
                self.source,
                f"reading {len(wanted)} frames of {self.facts.width}x{self.facts.height} exceeds the limit of "
                f"{self._limits.max_read_pixels} samples; read fewer at once or raise Limits.max_read_pixels",
            )
        out = np.empty(shape, np.uint8)
        if not len(wanted):
            return out
        places: dict[int, list[int]] = {}
        for place, index in enumerate(wanted.tolist()):
            places.setdefault(index, []).append(place)
        ascending = sorted(places)

        def put(n: int, frame: np.ndarray) -> None:
            shown = to_channels(frame, self._channels)
            for place in places[ascending[n]]:
                out[place] = shown

        with typed_faults(self.source):
            self._opened().hand_out(ascending, put)
        return out

    def iter_frames(self) -> Iterator[np.ndarray]:
        """Yields every frame in turn, holding one at a time."""
        frames = self._opened().frames_at(range(self.facts.frames))
        while True:
            with typed_faults(self.source):
                frame = next(frames, None)
            if frame is None:
                return
            yield to_channels(frame, self._channels)

    def unreadable_frames(self) -> list[int]:
        """Numbers of the frames that cannot be decoded. Decodes them all, so it takes its time."""
        damaged = []
        for index in range(self.facts.frames):
            try:
                self.read([index])
            except CineError:
                damaged.append(index)
        return damaged

    def close(self) -> None:
        """Releases the file; reading again opens it again."""
        if self._backend is not None and self._owner == os.getpid():
            self._backend.close()
        self._backend = None

    def _opened(self) -> FrameSource:
        if self._backend is None or self._owner != os.getpid():  # a forked child would share the file position
            if _stamp(self.source) != self._stamp:
                raise CineError(self.source, "it has changed since it was opened; open it again")
            self._backend = self._reopen()
            self._owner = os.getpid()
        return self._backend

    def __len__(self) -> int:
        return self.facts.frames

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.iter_frames()

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if first is Ellipsis or (isinstance(key, tuple) and not key):
            return np.asarray(self)[key]
        if isinstance(first, (int, np.integer)) and not isinstance(first, (bool, np.bool_)):
            frame = self.read([int(first)])[0]
            return frame[rest] if rest else frame
        if isinstance(first, slice):
            frames = self.read(range(*first.indices(len(self))))
        else:
            chosen = np.asarray(first)
            if chosen.dtype == bool:
                if chosen.shape != (len(self),):
                    raise IndexError(f"a mask of {chosen.shape} for a cine of {len(self)} frames")
                chosen = np.flatnonzero(chosen)
            if chosen.ndim != 1 or (chosen.size and not np.issubdtype(chosen.dtype, np.integer)):
                raise IndexError("a cine is indexed by a frame number, a slice, or a list of frame numbers")
            frames = self.read(chosen.astype(np.int64))
        return frames[(slice(None), *rest)] if rest else frames

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a cine is decoded, so an array of it is always a copy")
        frames = self.read(range(len(self)))
        return frames if dtype is None else frames.astype(dtype, copy=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_backend", None) is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_backend": None, "_audio": None, "_audio_read": False}

    def __repr__(self) -> str:
        rate = f"{self.fps:.4g} fps" if self.fps else "rate not known"
        return f"<Cine {self.source.name}: {'x'.join(map(str, self.shape))}, {rate}, {self.facts.codec}>"


def to_channels(frame: np.ndarray, channels: int) -> np.ndarray:
    """Turns a frame to 1 or 3 channels: ITU-R 601 luma, rounded; grey repeated.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        channels: 1 or 3.
    """
    import cv2

    if channels == 1 and frame.ndim == 3:
        return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    if channels == 3 and frame.ndim == 2:
        return np.broadcast_to(frame[..., None], (*frame.shape, 3))
    return frame


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise CineError(path, f"{error.strerror or error}".lower()) from None
    return state.st_size, state.st_mtime_ns
