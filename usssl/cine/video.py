"""Video files through PyAV: one packet index, one decoder kept where it stands, frames told by their time stamps."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine.facts import Audio, CineFacts, Color, Limits
from usssl.cine.sniff import VIDEO_FORMATS
from usssl.cine.source import FrameSource, even_times
from usssl.cine.video_audio import decode_audio
from usssl.cine.video_frames import frame_pixels, is_grey_format
from usssl.cine.video_index import VideoIndex, build_index
from usssl.errors import CineError

_SEEK_PAYS = 2  # a seek costs about as much as decoding this many frames
_INTRA_SEEK_PAYS = 64  # where every frame stands alone, passing over packets costs nearly nothing
_MAX_THREADS = 8


class VideoSource(FrameSource):
    """The first video stream of a container that is not a cover picture."""

    def __init__(
        self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None, stream: Any = None
    ) -> None:
        """Opens `path`, or the file-like `stream` in its place, with the demultiplexer for `kind` and no other."""
        self._path = path
        self._kind = kind
        self._limits = limits
        self._threads = threads if threads is not None else default_threads()
        self._file = stream
        self._warnings: list[str] = []
        self._container: Any = None
        try:
            self._open()
            self._index = self._read_index()
            self._number = {int(p): n for n, p in enumerate(self._index.pts)}
            first = self._first_frame()
            self._size = (first.width, first.height)
            self._rotation = round(first.rotation / 90) * 90 % 360
            self.channels = 1 if color == "grey" or (color == "native" and is_grey_format(first.format.name)) else 3
            self.facts, self.times = self._describe(first)
        except BaseException:
            self.close()
            raise

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        wanted = deque(indices)
        asked = set(indices)
        self._last_asked = max(asked, default=-1)
        while wanted:
            target = wanted[0]
            if target in self._damaged:
                raise CineError(self._path, f"frame {target} is damaged and cannot be decoded")
            if not self._can_go_on(target):
                self._go_to(target)
            frame = self._decode_to(target, asked)
            if frame is not None:
                yield self._pixels(frame)
                wanted.popleft()

    def audio(self) -> Audio | None:
        """See `FrameSource.audio`."""
        container = self._new_container()
        try:
            return decode_audio(container, self._path, float(self._index.pts[0] * self._stream.time_base))
        finally:
            container.close()

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._packets = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _new_container(self) -> Any:
        import av

        if self._file is not None:
            self._file.seek(0)
        return av.open(
            self._file if self._file is not None else f"file:{self._path}",
            format=VIDEO_FORMATS[self._kind],
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
            buffer_size=1 << 18,
        )

    def _open(self) -> None:
        """Starts at the beginning of the file with a fresh decoder."""
        import av

        if self._container is not None:
            self._container.close()
        try:
            self._container = self._new_container()
        except av.error.FFmpegError as error:
            raise CineError(self._path, f"its {self._kind} container is damaged ({error.strerror.lower()})") from None
        streams = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise CineError(self._path, "it holds no video stream")
        self._stream = streams[0]
        self._other_streams = len(streams) - 1
        context = self._stream.codec_context
        context.thread_count = self._threads
        context.thread_type = "AUTO" if self._threads != 1 else "NONE"
        # Errors must come out: a concealed frame is a wrong frame.
        context.options = {"err_detect": "explode", "max_pixels": str(self._limits.max_frame_pixels)}
        self._restart()

    def _restart(self) -> None:
        self._packets = self._container.demux(self._stream)
        self._ready: deque[tuple[int, Any]] = deque()
        self._position = 0  # the next frame that can come out
        self._counted = 0
        self._passed: set[int] = set()  # frames whose packets were left undecoded since the last seek
        self._ended = False

    def _read_index(self) -> VideoIndex:
        self._damaged: set[int] = set()
        index = build_index(self._container, self._stream, self._path, self._limits.max_frames)
        if not len(index.pts):
            raise CineError(self._path, "it holds no frames")
        if not index.seekable:
            index = self._count_frames()
        self._open()
        return index

    def _count_frames(self) -> VideoIndex:
        """For streams without time stamps: decodes once to count, since packets and frames need not agree."""
        self._open()
        self._index = VideoIndex(*(np.zeros(0, np.int64) for _ in range(4)), intra=False, seekable=False)
        self._number = {}
        while not self._ended and self._counted <= self._limits.max_frames:
            self._feed(None)
            self._ready.clear()
        count = np.arange(self._counted, dtype=np.int64)
        return VideoIndex(count, count, np.zeros_like(count), count, intra=False, seekable=False)

    def _first_frame(self) -> Any:
        frame = None
        self._last_asked = 0
        while frame is None and 0 not in self._damaged:
            frame = self._decode_to(0, {0})
        if frame is None:
            raise CineError(self._path, "its first frame is damaged")
        self._ready.appendleft((0, frame))
        self._position = 0
        return frame

    def _can_go_on(self, target: int) -> bool:
        if target < self._position or target in self._passed or (self._ended and not self._ready):
            return False
        if not self._index.seekable:
            return True
        if self._index.intra:
            return target - self._position < _INTRA_SEEK_PAYS
        return self._index.key[target] <= self._position + _SEEK_PAYS

    def _go_to(self, target: int) -> None:
        """Goes to the key frame of `target`, so that the next packet fed is the one of that key frame."""
        key = int(self._index.key[target])
        if not self._index.seekable or key == 0:
            if self._position or self._passed or self._ended:
                self._seek_start()
            return
        context = self._stream.codec_context
        dts = int(self._index.dts[key])
        self._container.seek(dts, stream=self._stream, backward=True)
        context.flush_buffers()
        self._restart()
        for packet in self._packets:
            if packet.dts == dts and packet.is_keyframe:
                self._packets = _put_back(packet, self._packets)
                self._position = key
                return
            if packet.dts is None or packet.dts > dts:
                break
        self._seek_start()

    def _seek_start(self) -> None:
        self._open()

    def _decode_to(self, target: int, asked: set[int]) -> Any | None:
        """Feeds packets until frame `target` comes out; None where damage or the end came first (see `_damaged`)."""
        while True:
            while self._ready:
                number, frame = self._ready.popleft()
                self._position = number + 1
                if number == target:
                    return frame
            if self._ended or target in self._damaged or self._position > target:
                self._damaged.add(target)
                return None
            if not self._feed(asked):
                return None

    def _feed(self, asked: set[int] | None) -> bool:
        """Decodes one more packet, into `_ready`; False where an error made the decoder start again."""
        import av

        packet = next(self._packets, None)
        context = self._stream.codec_context
        if packet is None or not packet.size:
            self._ended = True
        number = self._number.get(packet.pts) if packet is not None and packet.pts is not None else None
        if asked is not None and self._index.seekable and number is not None:
            if number not in asked:
                self._passed.add(number)
                if self._index.intra:
                    return True
            # Frames that no other frame builds on need not be decoded unless they are asked for.
            context.skip_frame = "DEFAULT" if number in asked else "NONREF"
        try:
            frames = context.decode(None if self._ended else packet)
            if self._index.intra and asked is not None and number == self._last_asked and not self._ended:
                frames += context.decode(None)
                context.flush_buffers()
        except (av.error.FFmpegError, EOFError) as error:
            return self._handle_damage(number, error)
        for frame in frames:
            place = self._number.get(frame.pts) if self._index.seekable else self._counted
            self._counted += 1
            if place is not None and place not in self._damaged and not frame.is_corrupt:
                self._ready.append((place, frame))
        return True

    def _handle_damage(self, number: int | None, error: Exception) -> bool:
        if self._threads != 1:  # several threads report an error late: find its packet with one
            self._threads = 1
            self._open()
            return False
        if number is not None and number < len(self._index.pts):
            self._damaged |= self._index.after_damage(number)
        return True

    def _pixels(self, frame: Any) -> np.ndarray:
        if (frame.width, frame.height) != self._size:
            raise CineError(
                self._path, f"a frame is {frame.width}x{frame.height}, the first is {self._size[0]}x{self._size[1]}"
            )
        return frame_pixels(frame, self.channels, self._rotation)

    def _describe(self, first: Any) -> tuple[CineFacts, np.ndarray]:
        stream, index = self._stream, self._index
        frames = len(index.pts)
        rate = float(stream.average_rate or stream.guessed_rate or 0) or None
        if index.seekable:
            times = (index.pts - index.pts[0]) * float(stream.time_base)
            measured = (frames - 1) / times[-1] if frames > 1 else None
            # The header's rate is a rounder number, but only where the time stamps bear it out.
            fps = rate if measured is None or (rate and abs(rate / measured - 1) < 0.005) else measured
        else:
            fps, times = rate, even_times(frames, rate)
        width, height = self._size if self._rotation % 180 == 0 else self._size[::-1]
        facts = CineFacts(
            container=self._kind,
            codec=stream.codec_context.name.removeprefix("lib"),
            frames=frames,
            height=height,
            width=width,
            channels=1 if is_grey_format(first.format.name) else 3,
            fps=fps,
            reported_frames=stream.frames or None,
            bits=first.format.components[0].bits,
            pixel_format=first.format.name,
            timing="pts" if index.seekable else "rate",
            has_audio=bool(self._container.streams.audio),
            rotation=self._rotation,
            warnings=tuple(self._find_warnings()),
        )
        return facts, times

    def _find_warnings(self) -> Iterator[str]:
        frames, reported = len(self._index.pts), self._stream.frames
        if self._index.lost:
            total = frames + self._index.lost
            yield f"{self._index.lost} of {total} frames are damaged or build on damaged ones and were left out"
        if reported and reported != frames + self._index.lost:
            yield f"the header claims {reported} frames, the file holds {frames + self._index.lost}"
        if self._other_streams:
            yield f"{self._other_streams} more video stream(s) were left out"
        if not self._index.seekable:
            yield "frames carry no time stamps: times follow the nominal rate, and going back decodes from the start"


def default_threads() -> int:
    """One thread in a worker process, where others work beside it; elsewhere one a core, at most 8."""
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)


def _put_back(packet: Any, packets: Iterator[Any]) -> Iterator[Any]:
    yield packet
    yield from packets
