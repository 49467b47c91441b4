"""Video files through PyAV: a packet index, a decoder that stays where it is, frames told by their time stamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine.facts import Audio, CineFacts, Color, Limits
from usssl.cine.source import FrameSource, even_times
from usssl.cine.threads import default_threads
from usssl.cine.video_audio import decode_audio
from usssl.cine.video_decoder import FrameDecoder
from usssl.cine.video_frames import frame_pixels, is_grey_format
from usssl.cine.video_index import VideoIndex, build_index
from usssl.cine.video_stream import VideoFile, video_streams
from usssl.errors import CineError


class VideoSource(FrameSource):
    """The first video stream of a container that is not a cover picture."""

    def __init__(
        self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None, stream: Any = None
    ) -> None:
        """Opens `path`, or the file-like `stream` in its place, with the demultiplexer for `kind` and no other."""
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._path = path
        self._file = VideoFile(path, kind, limits.max_frame_pixels, stream)
        threads = default_threads() if threads is None else max(1, threads)
        self._index, self._header, self._decoder = _opened(self._file, limits.max_frames, threads)
        try:
            first = self._decoder.first_frame()
            self._size = (first.width, first.height)
            self._rotation = round(first.rotation / 90) * 90 % 360
            self.channels = 1 if color == "grey" or (color == "native" and is_grey_format(first.format.name)) else 3
            self.facts, self.times = self._describe(first)
        except BaseException:
            self.close()
            raise

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        asked = set(indices)
        last = max(asked, default=-1)
        for index in indices:
            frame = self._decoder.frame(index, asked, last)
            if (frame.width, frame.height) != self._size:
                size = f"{self._size[0]}x{self._size[1]}"
                raise CineError(self._path, f"frame {index} is {frame.width}x{frame.height}, the first is {size}")
            yield frame_pixels(frame, self.channels, self._rotation, self._reformatter)

    def audio(self) -> Audio | None:
        """See `FrameSource.audio`."""
        start = float(self._index.pts[0]) * self._header.time_base if self._index.seekable else 0.0
        container = self._file.container()
        try:
            return decode_audio(container, self._path, start)
        finally:
            container.close()

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._decoder.close()

    def _describe(self, first: Any) -> tuple[CineFacts, np.ndarray]:
        index, header = self._index, self._header
        frames = len(index.pts)
        fps, times = header.rate, even_times(frames, header.rate)
        if index.seekable and frames > 1:
            times = (index.pts - index.pts[0]) * header.time_base
            measured = (frames - 1) / float(times[-1])
            usual = 1.0 / float(np.median(np.diff(times)))
            # The header's rate is the rounder number, but counts only where the time stamps bear it out.
            borne_out = header.rate and min(abs(header.rate / rate - 1) for rate in (measured, usual)) < 0.005
            fps = header.rate if borne_out else measured
        width, height = self._size if self._rotation % 180 == 0 else self._size[::-1]
        facts = CineFacts(
            container=self._file.kind,
            codec=header.codec,
            frames=frames,
            height=height,
            width=width,
            channels=1 if is_grey_format(first.format.name) else 3,
            fps=fps,
            reported_frames=header.frames,
            bits=first.format.components[0].bits,
            pixel_format=first.format.name,
            timing="pts" if index.seekable else "rate" if header.rate else "none",
            has_audio=header.has_audio,
            rotation=self._rotation,
            warnings=tuple(_warnings(index, header)),
        )
        return facts, times


@dataclass(frozen=True)
class _Header:
    """What the container says of the stream."""

    codec: str
    rate: float | None
    time_base: float
    frames: int | None
    has_audio: bool
    other_streams: int


def _opened(file: VideoFile, max_frames: int, threads: int) -> tuple[VideoIndex, _Header, FrameDecoder]:
    container, stream = file.video(threads)
    try:
        header = _Header(
            codec=stream.codec_context.name.removeprefix("lib"),
            rate=float(stream.average_rate or stream.guessed_rate or 0) or None,
            time_base=float(stream.time_base),
            frames=stream.frames or None,
            has_audio=bool(container.streams.audio),
            other_streams=len(video_streams(container)) - 1,
        )
        index = build_index(container, stream, file.path, max_frames)
        if not len(index.pts):
            raise CineError(file.path, "it holds no frames that can be decoded")
    except BaseException:
        container.close()
        raise
    if index.seekable:
        return index, header, FrameDecoder(file, index, threads, (container, stream))
    container.close()
    # Without time stamps packets and frames need not agree in number: only decoding tells.
    counter = FrameDecoder(file, index, threads)
    index = VideoIndex.without_times(counter.count(max_frames))
    counter.close()
    if not len(index.pts):
        raise CineError(file.path, "it holds no frames that can be decoded")
    return index, header, FrameDecoder(file, index, threads)


def _warnings(index: VideoIndex, header: _Header) -> Iterator[str]:
    present = len(index.pts) + len(index.lost)
    if index.lost:
        yield f"{len(index.lost)} of {present} frames are damaged or build on damaged ones and were left out"
    if header.frames and header.frames != present:
        yield f"the header claims {header.frames} frames, the file holds {present}"
    if header.other_streams:
        yield f"{header.other_streams} more video stream(s) were left out"
    if not index.seekable:
        yield "frames carry no time stamps: times follow the nominal rate, and going back decodes from the start"
