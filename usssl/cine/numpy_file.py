"""NumPy files: `.npy` read by memory map, `.npz` with one array of frames."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine.facts import CineFacts, Color, Limits
from usssl.cine.source import FrameSource, even_times
from usssl.cine.tones import to_display
from usssl.errors import CineError, CineLimitError

_NAMES = ("frames", "cine", "video", "images", "arr_0")
_RATES = ("fps", "frame_rate")


class NumpySource(FrameSource):
    """An array `(T, H, W)`, `(T, H, W, 1)` or `(T, H, W, 3)` of bytes, booleans or 16-bit integers.

    An `.npz` file may hold `fps`, too; its array is the one named `frames`, `cine`, `video` or `images`, or the only
    one of three or more dimensions. Pickled objects are never read.
    """

    def __init__(self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None) -> None:
        self._path = path
        fps = None
        if kind == "npy":
            self._frames: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            self._frames, fps = _from_archive(path, limits)
        shape = self._frames.shape
        if len(shape) == 4 and shape[3] == 1:
            self._frames = self._frames[..., 0]
        elif not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise CineError(path, f"an array of shape {shape} is not (T, H, W) or (T, H, W, 3)")
        to_display(np.zeros(1, self._frames.dtype))  # raises where the type has no known range
        colored = self._frames.ndim == 4
        self.channels = 3 if colored and color != "grey" else 1
        self.times = even_times(shape[0], fps)
        self.facts = CineFacts(
            container="numpy",
            codec="raw",
            frames=shape[0],
            height=shape[1],
            width=shape[2],
            channels=3 if colored else 1,
            fps=fps,
            reported_frames=shape[0],
            bits=self._frames.dtype.itemsize * 8,
            pixel_format=str(self._frames.dtype),
            timing="fps" if fps else "none",
        )

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        for index in indices:
            yield to_display(np.asarray(self._frames[index]))

    def close(self) -> None:
        """See `FrameSource.close`; the memory map goes with the last array that uses it."""
        self._frames = np.zeros((0, 0, 0), np.uint8)


def _from_archive(path: Path, limits: Limits) -> tuple[np.ndarray, float | None]:
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        if max(sizes.values(), default=0) > min(limits.max_memory, limits.max_read_pixels):
            raise CineLimitError(path, "an array in it exceeds the limits; save it as .npy, which is not read whole")
        headers = {name: _header(archive, name) for name in sizes}
    fitting = [name for name, shape in headers.items() if len(shape) in (3, 4)]
    name = next((name for name in _NAMES if name in fitting), fitting[0] if len(fitting) == 1 else None)
    if name is None:
        raise CineError(path, f"none of its arrays ({', '.join(sorted(sizes))}) is named 'frames' and shaped (T, H, W)")
    with np.load(path, allow_pickle=False) as arrays:
        rates = [arrays[rate] for rate in _RATES if rate in arrays.files]
        fps = _rate(rates[0]) if rates else None
        return arrays[name], fps


def _header(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Shape of an array, read without its data; empty where it is not an array."""
    try:
        with archive.open(f"{name}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            read: Any = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            return tuple(read(stream)[0])
    except (KeyError, ValueError):
        return ()


def _rate(value: np.ndarray) -> float | None:
    rate = float(value.reshape(-1)[0]) if value.size and value.dtype.kind in "iuf" else 0.0
    return rate if np.isfinite(rate) and rate > 0 else None
