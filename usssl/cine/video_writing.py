"""Writing video files: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from usssl.errors import OutputError

_CODECS = {
    "h264": ("libx264", "yuv420p", "mp4"),
    "mjpeg": ("mjpeg", "yuvj420p", "avi"),
    "ffv1": ("ffv1", "gray", "matroska"),
}


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray] | np.ndarray,
    fps: float,
    *,
    codec: str = "h264",
    crf: int = 18,
    gop: int | None = None,
    audio: tuple[np.ndarray, int] | None = None,
    reproducible: bool = False,
) -> Path:
    """Writes frames to a video file under a temporary name and renames it, so that no half-written file is ever seen.

    Odd sizes are padded by one row or column that repeats the edge, since 4:2:0 video has even sizes.

    Args:
        path: the file to write; `.mp4` for h264, `.avi` for mjpeg, `.mkv` for ffv1 (lossless).
        frames: uint8 `(H, W)` or `(H, W, 3)` each, all alike.
        fps: frames a second.
        codec: `h264`, `mjpeg` or `ffv1`.
        crf: quality of h264; smaller is better, 0 is lossless but for the colour conversion.
        gop: frames from one key frame to the next; the encoder's own choice (250) where None.
        audio: float mono waveform in [-1, 1] and its rate, coded as AAC; h264 only.
        reproducible: h264 codes the same frames as the same bytes every time and on any number of cores; slower, on
            one thread, and a little larger at the same quality.

    Returns:
        The path written.

    Raises:
        OutputError: if the codec is unknown, there are no frames, or the file cannot be written.
    """
    import av

    path = Path(path)
    if codec not in _CODECS:
        raise OutputError(f"cannot write {path}: codec {codec!r} is not one of {', '.join(_CODECS)}")
    if not fps > 0:
        raise OutputError(f"cannot write {path}: the frame rate is {fps}, not above 0")
    first, rest = _first(frames, path)
    encoder, pixel_format, container_format = _CODECS[codec]
    if codec == "ffv1" and first.ndim == 3:
        pixel_format = "bgr0"
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=Fraction(fps).limit_denominator(100_000))
        stream.height, stream.width = (n + n % 2 for n in first.shape[:2])
        stream.pix_fmt = pixel_format
        stream.options = _options(codec, crf, gop, reproducible)
        sound = container.add_stream("aac", rate=audio[1], layout="mono") if audio and codec == "h264" else None
        for frame in chain([first], rest):
            for packet in stream.encode(_video_frame(frame, first.shape, path)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
        if sound is not None and audio is not None:
            _mux_audio(container, sound, *audio)
    return path


class atomic_path:  # noqa: N801 — read as a function: `with atomic_path(path) as temporary`
    """Gives a temporary path in the same folder; renames it to `path` on success, removes it on any failure.

    Raises:
        OutputError: if the folder is missing or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {(error.strerror or str(error)).lower()}") from None
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                reason = (error.strerror or str(error)).lower()
                raise OutputError(f"cannot write {self.path}: {reason}") from error
            return
        try:
            mask = os.umask(0)
            os.umask(mask)
            self.temporary.chmod(0o666 & ~mask)
            self.temporary.replace(self.path)
        except OSError as failure:
            self.temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: {(failure.strerror or str(failure)).lower()}") from None


def _first(frames: Iterable[np.ndarray], path: Path) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    rest = iter(frames)
    try:
        first = np.asarray(next(rest))
    except StopIteration:
        raise OutputError(f"cannot write {path}: there are no frames") from None
    if first.dtype != np.uint8 or first.ndim not in (2, 3) or (first.ndim == 3 and first.shape[2] != 3):
        raise OutputError(f"cannot write {path}: frames are uint8 (H, W) or (H, W, 3), not {first.dtype} {first.shape}")
    return first, rest


def _options(codec: str, crf: int, gop: int | None, reproducible: bool) -> dict[str, str]:
    options = {"g": str(gop)} if gop else {}
    if codec == "h264":
        options |= {"crf": str(crf), "preset": "medium"}
        if reproducible:
            # x264 codes otherwise for each number of threads, and its macroblock tree, with AVX-512, codes the same
            # narrow frames otherwise in one to three of a thousand times.
            options |= {"threads": "1", "x264-params": "mbtree=0"}
    elif codec == "mjpeg":
        options |= {"q": "3", "qmin": "2", "qmax": "3"}
    return options


def _video_frame(frame: np.ndarray, shape: tuple[int, ...], path: Path) -> Any:
    import av

    frame = np.asarray(frame)
    if frame.shape != shape or frame.dtype != np.uint8:
        raise OutputError(f"cannot write {path}: a frame is {frame.dtype} {frame.shape}, the first was {shape}")
    pad = [(0, n % 2) for n in shape[:2]] + [(0, 0)] * (len(shape) - 2)
    if any(after for _, after in pad):
        frame = np.pad(frame, pad, mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray" if frame.ndim == 2 else "rgb24")


def _mux_audio(container: Any, stream: Any, waveform: np.ndarray, rate: int) -> None:
    import av

    samples = np.ascontiguousarray(waveform, dtype=np.float32).reshape(1, -1)
    block = 1024
    for start in range(0, samples.shape[1], block):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + block].copy(), format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = start
        frame.time_base = Fraction(1, rate)
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)
