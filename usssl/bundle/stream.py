"""Feeds a cine to a model in bounded memory, and joins what comes out.

A *piece* is one call of the model: the frames of the cine that it shows, as an index array (batch, time). Pieces come
in the order of time, so that each frame is decoded once and only a few are held.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from usssl.cine.clip_windows import Indices, clip_windows, real_places
from usssl.errors import CineError

UInt8 = npt.NDArray[np.uint8]

# Raw frames of one piece: large enough to keep every core busy, small enough for a laptop.
PIECE_BYTES = 64 << 20
# A cine up to this size, in grey, is decoded once and held; of a longer one, the frames that show the window are
# decoded twice.
HELD_BYTES = 128 << 20
# Results that grow past this live in an unlinked temporary file, so that an hour of saliency maps fits any machine.
SPILL_BYTES = 256 << 20


class FrameArray(Protocol):
    """What a model needs of a cine: a shape and frames by slice. `usssl.cine.Cine` and NumPy arrays have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W) or (T, H, W, 3)."""

    def __getitem__(self, key: slice) -> Any: ...


def pieces(frames: int, clip: int, stride: int, at_once: int) -> list[Indices]:
    """Which frames go into each call of the model.

    Args:
        frames: number of frames of the cine.
        clip: frames the model takes at once; 1 means that it takes any number and treats each by itself.
        stride: step between a clip's frames.
        at_once: frames a call should have.

    Returns:
        Index arrays (batch, time). A clip model sees each frame in about two clips, half a clip apart; indices past the
        end of a short cine repeat its last frame.
    """
    if clip == 1:
        return [np.arange(start, min(start + at_once, frames))[None] for start in range(0, frames, at_once)]
    windows = clip_windows(frames, clip, stride)
    batch = max(1, at_once // clip)
    return [windows[i : i + batch] for i in range(0, len(windows), batch)]


def frames_at_once(shape: Sequence[int], limit: int) -> int:
    """Frames of this shape (T, H, W[, 3]) that fit one call: at most `limit`, at most `PIECE_BYTES`."""
    return max(1, min(limit, PIECE_BYTES // max(1, int(np.prod(shape[1:])))))


def spread(frames: int, count: int) -> list[int]:
    """Up to `count` frame numbers spread evenly over a cine, its first and last among them."""
    return sorted({int(i) for i in np.linspace(0, frames - 1, min(count, frames)).round()})


def to_model(frames: UInt8, colour: bool) -> UInt8:
    """Turns (T, H, W[, 3]) into what the model takes: grey by ITU-R 601 luma, rounded, or RGB."""
    if colour:
        return frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    if frames.ndim == 3:
        return frames
    count, height, width, _ = frames.shape
    grey = cv2.cvtColor(np.ascontiguousarray(frames).reshape(count * height, width, 3), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.uint8).reshape(count, height, width)


def held(cine: FrameArray, colour: bool, before_each: Callable[[], None]) -> FrameArray:
    """The cine decoded into memory where it is small (`HELD_BYTES`), so that no frame is decoded twice; else as it is.

    Args:
        cine: what to decode.
        colour: the colour that the model takes.
        before_each: called before each part is decoded; may raise to stop.
    """
    total, height, width = cine.shape[:3]
    if isinstance(cine, np.ndarray) or total * height * width * (3 if colour else 1) > HELD_BYTES:
        return cine
    frames = np.empty((total, height, width, 3) if colour else (total, height, width), np.uint8)
    step = frames_at_once(cine.shape, total)
    for start in range(0, total, step):
        before_each()
        stop = min(start + step, total)
        frames[start:stop] = decode(cine, start, stop, colour)
    return frames


def decode(cine: FrameArray, start: int, stop: int, colour: bool) -> UInt8:
    """Frames `start` to `stop` as the model takes them.

    Raises:
        CineError: the cine gives fewer frames than it says.
    """
    frames = to_model(np.asarray(cine[start:stop]), colour)
    if len(frames) != stop - start:
        source = getattr(cine, "source", "the cine")
        raise CineError(source, f"its frames {start + len(frames)} to {stop - 1} are missing")
    return frames


def feed(cine: FrameArray, plan: Sequence[Indices], colour: bool) -> Iterator[tuple[Indices, UInt8]]:
    """Yields each piece with its frames, (batch, time, H, W[, 3]); the next is decoded while the model runs.

    Raises:
        CineError: the cine gives fewer frames than it says.
    """
    held = _Held(cine, colour)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as decoder:
        coming: Future[UInt8] | None = None
        try:
            for number, piece in enumerate(plan):
                frames = coming.result() if coming else held.read(piece)
                coming = decoder.submit(held.read, plan[number + 1]) if number + 1 < len(plan) else None
                yield piece, frames
        finally:
            if coming:
                coming.cancel()


class _Held:
    """The decoded frames that the pieces to come still need."""

    def __init__(self, cine: FrameArray, colour: bool) -> None:
        self._cine, self._colour = cine, colour
        self._start = 0
        self._frames: UInt8 | None = None

    def read(self, piece: Indices) -> UInt8:
        first, stop = int(piece.min()), int(piece.max()) + 1
        end = self._start + (0 if self._frames is None else len(self._frames))
        new = decode(self._cine, max(first, end), stop, self._colour) if stop > end else None
        kept = self._frames[max(0, first - self._start) :] if self._frames is not None else None
        parts = [part for part in (kept, new) if part is not None and len(part)]
        frames = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._start, self._frames = first, frames
        if piece.shape[0] == 1 and piece.shape[1] == len(frames):
            return frames[None]
        return np.asarray(frames[piece - first])


class Joined:
    """Puts the outputs of the pieces back in the order of the frames; a frame seen twice gets the mean."""

    def __init__(self, frames: int, overlap: bool) -> None:
        self._frames = frames
        self._values: npt.NDArray[np.float32] | None = None
        self._seen = np.zeros(frames, np.int64) if overlap else None

    def add(self, piece: Indices, values: npt.NDArray[np.float32]) -> None:
        """Takes the output (batch, time, …) of one piece."""
        if self._values is None:
            self._values = _room((self._frames, *values.shape[2:]))
        if self._seen is None:
            self._values[piece[0, 0] : piece[0, -1] + 1] = values[0]
            return
        for clip, rows in zip(piece, values, strict=True):
            real = real_places(clip)
            self._values[clip[real]] += rows[real]
            self._seen[clip[real]] += 1

    def result(self) -> npt.NDArray[np.float32]:
        """The joined output, (T, …)."""
        assert self._values is not None
        if self._seen is not None:
            for row, count in zip(self._values, self._seen, strict=True):
                row /= count
        return self._values


def _room(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if int(np.prod(shape)) * 4 <= SPILL_BYTES:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile(prefix="usssl-") as file:
        return np.memmap(file, np.float32, "w+", shape=shape)
