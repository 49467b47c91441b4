"""MetaImage sequences (.mha, .igs.mha), with the tracked poses that the PLUS toolkit writes beside each frame."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from usssl.cine.facts import CineFacts, Color, Limits
from usssl.cine.source import FrameSource, even_times
from usssl.cine.tones import to_display
from usssl.errors import CineError, CineLimitError

_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
}
_MAX_HEADER = 1 << 28  # bytes; PLUS writes about 1 kB a frame
_NOWHERE = 1 << 62
_FRAME_FIELD = re.compile(r"Seq_Frame(\d+)_(\w+)")


class MetaImageSource(FrameSource):
    """Frames stored one after another, raw or as one zlib stream."""

    def __init__(self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None) -> None:
        self._path = path
        self._stream: BinaryIO = path.open("rb")
        try:
            fields, frame_fields, start = _read_header(path, self._stream)
            self._dtype, self._shape, frames = _layout(path, fields)
            frame_bytes = int(np.prod(self._shape, dtype=np.float64)) * self._dtype.itemsize
            if self._shape[0] * self._shape[1] > limits.max_frame_pixels:
                raise CineLimitError(
                    path, f"its frames are {self._shape[1]}x{self._shape[0]}, more than the limits allow"
                )
            if frames > limits.max_frames:
                raise CineLimitError(path, f"it has {frames} frames; the limit is {limits.max_frames}")
            packed = fields.get("CompressedData", "False").lower() == "true"
            self._pixels: _Raw | _Packed
            self._pixels = (_Packed if packed else _Raw)(path, self._stream, start, frame_bytes)
            present = min(frames, self._pixels.count(frames))
        except BaseException:
            self._stream.close()
            raise
        colored = len(self._shape) == 3
        self.channels = 3 if colored and color != "grey" else 1
        times = _times(frame_fields, present)
        fps = (present - 1) / float(times[-1]) if present > 1 and np.isfinite(times).all() else None
        self.times = times
        self.poses = _poses(frame_fields, present)
        notes = [f"the header claims {frames} frames, the file holds {present}"] if present < frames else []
        orientation = fields.get("UltrasoundImageOrientation", "MF")
        if not orientation.startswith("MF"):
            notes.append(f"its image orientation is {orientation}, not MF: it may be seen mirrored or upside down")
        self.facts = CineFacts(
            container="metaimage",
            codec="zlib" if packed else "raw",
            frames=present,
            height=self._shape[0],
            width=self._shape[1],
            channels=3 if colored else 1,
            fps=fps,
            reported_frames=frames,
            bits=self._dtype.itemsize * 8,
            pixel_format=fields["ElementType"],
            timing="Timestamp" if fps else "none",
            spacing_mm=_spacing(fields),
            warnings=tuple(notes),
        )

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        for index in indices:
            data = self._pixels.frame(index)
            yield to_display(np.frombuffer(data, self._dtype).reshape(self._shape))

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._stream.close()


class _Raw:
    """Uncompressed frames."""

    def __init__(self, path: Path, stream: BinaryIO, start: int, frame_bytes: int) -> None:
        self._stream, self._start, self._frame_bytes = stream, start, frame_bytes

    def count(self, most: int) -> int:
        """Whole frames in the file."""
        return (self._stream.seek(0, 2) - self._start) // self._frame_bytes

    def frame(self, index: int) -> bytes:
        """The bytes of one frame."""
        self._stream.seek(self._start + index * self._frame_bytes)
        return self._stream.read(self._frame_bytes)


class _Packed:
    """Frames in one zlib stream: read forward, with a restart point every few frames for going back."""

    _EVERY = 16  # frames from one restart point, of about 50 kB, to the next
    _BLOCK = 1 << 16

    def __init__(self, path: Path, stream: BinaryIO, start: int, frame_bytes: int) -> None:
        self._path, self._stream, self._frame_bytes = path, stream, frame_bytes
        self._inflater = zlib.decompressobj()
        self._place = start
        self._left = b""
        self._next = 0
        self._restarts: dict[int, tuple[zlib._Decompress, int, bytes]] = {}
        self._remember()

    def count(self, most: int) -> int:
        """Whole frames in the file, by inflating all of it once."""
        try:
            for index in range(most):
                self.frame(index)
        except CineError:
            return index
        return most

    def frame(self, index: int) -> bytes:
        """The bytes of one frame."""
        restart = max(n for n in self._restarts if n <= index)
        if index < self._next or restart > self._next:
            inflater, self._place, self._left = self._restarts[restart]
            self._inflater, self._next = inflater.copy(), restart
        while True:
            at, self._next = self._next, _NOWHERE  # should it fail, the next request starts from a restart point
            data = self._inflate(at)
            self._next = at + 1
            self._remember()
            if self._next > index:
                return data

    def _remember(self) -> None:
        if self._next % self._EVERY == 0 and self._next not in self._restarts:
            self._restarts[self._next] = (self._inflater.copy(), self._place, self._left)

    def _inflate(self, index: int) -> bytes:
        parts = []
        wanted = self._frame_bytes
        while wanted:
            if not self._left:
                self._stream.seek(self._place)
                self._left = self._stream.read(self._BLOCK)
                self._place += len(self._left)
            try:
                part = self._inflater.decompress(self._left, wanted)
            except zlib.error as error:
                raise CineError(self._path, f"frame {index} is damaged ({error})") from None
            if not part and (not self._left or self._inflater.eof):
                raise CineError(self._path, f"its pixel data end within frame {index}")
            self._left = self._inflater.unconsumed_tail
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)


def _read_header(path: Path, stream: BinaryIO) -> tuple[dict[str, str], dict[str, dict[int, str]], int]:
    """(fields, fields of single frames by name and frame, offset of the pixels)."""
    fields: dict[str, str] = {}
    frame_fields: dict[str, dict[int, str]] = {}
    while stream.tell() < _MAX_HEADER:
        line = stream.readline(1 << 16)
        name, separator, value = line.decode("latin-1").partition("=")
        name, value = name.strip(), value.strip()
        if not separator:
            raise CineError(path, "its MetaImage header is damaged or has no ElementDataFile")
        if match := _FRAME_FIELD.fullmatch(name):
            frame_fields.setdefault(match[2], {})[int(match[1])] = value
        elif name == "ElementDataFile":
            if value != "LOCAL":
                raise CineError(path, "its pixels lie in another file, which is not opened; save it as one .mha file")
            return fields, frame_fields, stream.tell()
        else:
            fields[name] = value
    raise CineLimitError(path, f"its header exceeds {_MAX_HEADER} bytes")


def _layout(path: Path, fields: Mapping[str, str]) -> tuple[np.dtype, tuple[int, ...], int]:
    """(type of a sample, shape of a frame, frames)."""
    try:
        sizes = [int(value) for value in fields["DimSize"].split()]
        channels = int(fields.get("ElementNumberOfChannels", "1"))
        element = fields["ElementType"]
    except (KeyError, ValueError):
        raise CineError(path, "its DimSize or ElementType is missing or damaged") from None
    if element not in _TYPES or channels not in (1, 3):
        raise CineError(path, f"{channels} channel(s) of {element} are not supported")
    if len(sizes) not in (2, 3, 4) or min(sizes) < 1 or (len(sizes) == 4 and sizes[2] != 1):
        raise CineError(path, f"a size of {' x '.join(map(str, sizes))} is no sequence of frames")
    order = (
        ">" if fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "")).lower() == "true" else "<"
    )
    shape = (sizes[1], sizes[0]) if channels == 1 else (sizes[1], sizes[0], 3)
    return np.dtype(order + _TYPES[element]), shape, sizes[-1] if len(sizes) > 2 else 1


def _spacing(fields: Mapping[str, str]) -> tuple[float, float] | None:
    """(row, column) in mm; writers without a calibration put 1 1 there, which is taken for none."""
    try:
        column, row = (float(value) for value in fields["ElementSpacing"].split()[:2])
    except (KeyError, ValueError):
        return None
    return (row, column) if row > 0 and column > 0 and (row, column) != (1.0, 1.0) else None


def _times(frame_fields: Mapping[str, Mapping[int, str]], frames: int) -> np.ndarray:
    stamps = np.array([_number(frame_fields.get("Timestamp", {}).get(n)) for n in range(frames)])
    return stamps - stamps[0] if (np.diff(stamps) > 0).all() else even_times(frames, None)


def _poses(frame_fields: Mapping[str, Mapping[int, str]], frames: int) -> dict[str, np.ndarray] | None:
    """Transforms by name, NaN where the tracker did not call them OK."""
    poses = {}
    for name, values in frame_fields.items():
        if not name.endswith("Transform"):
            continue
        status = frame_fields.get(f"{name}Status", {})
        matrices = np.full((frames, 4, 4), np.nan)
        for frame, text in values.items():
            numbers = [_number(word) for word in text.split()]
            if frame < frames and len(numbers) == 16 and status.get(frame, "OK") == "OK":
                matrices[frame] = np.reshape(numbers, (4, 4))
        poses[name.removesuffix("Transform")] = matrices
    return poses or None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
