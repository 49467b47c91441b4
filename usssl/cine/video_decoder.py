"""A decoder that stays where it is between requests: it goes on where that is cheaper, and seeks where it is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from usssl.cine.video_index import VideoIndex
from usssl.cine.video_stream import VideoFile
from usssl.errors import CineError

_SEEK_PAYS = 2  # a seek costs about as much as decoding this many frames
_INTRA_SEEK_PAYS = 64  # where every frame stands alone, passing over a packet costs nearly nothing
# Decoders known to drop a frame that no other builds on when told so packet by packet; others drop more, or at other
# times.
_CAN_PASS_OVER = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"))


class FrameDecoder:
    """Gives frames of an indexed stream by number.

    Attributes:
        damaged: numbers of frames that proved undecodable.
        counted: frames that came out since the last start; numbers them where the stream has no time stamps.
    """

    def __init__(self, file: VideoFile, index: VideoIndex, threads: int, opened: tuple[Any, Any] | None = None) -> None:
        """Opens `file` afresh, or takes over a container.

        Args:
            file: the video.
            index: its packet index.
            threads: of the decoder; one after the first error, since several report errors late.
            opened: (container, stream) from `file.video(threads)` that has decoded nothing yet.
        """
        self.damaged: set[int] = set()
        self._file = file
        self._index = index
        self._number = {int(pts): n for n, pts in enumerate(index.pts)} if index.seekable else {}
        self._threads = threads
        self._container: Any = None
        self._no_entry: set[int] = set()  # key frames that proved to build on earlier ones
        if opened is None:
            self._start()
        else:
            self._take(*opened)
            self._ended = True  # wherever its packets are, the first request has to seek

    def frame(self, target: int, asked: set[int], last: int) -> Any:
        """Decodes frame `target`.

        Args:
            target: its number.
            asked: all numbers of this request; what no one asked for and no frame builds on is not decoded.
            last: the highest of them.

        Returns:
            A PyAV video frame.

        Raises:
            CineError: if it is damaged.
        """
        while target not in self.damaged:
            if not self._can_go_on(target):
                self._go_to(target)
            frame = self._decode_to(target, asked, last)
            if frame is not None:
                return frame
        raise CineError(self._file.path, f"frame {target} is damaged and cannot be decoded")

    def first_frame(self) -> Any:
        """Decodes the first frame and, where the codec allows, no other.

        Raises:
            CineError: if it is damaged.
        """
        import av

        if self._index.seekable:
            self._go_to(0)
            context = self._stream.codec_context
            try:
                frames = context.decode(next(self._packets, None)) or context.decode(None)
            except (av.error.FFmpegError, EOFError):
                frames = []
            context.flush_buffers()
            self._ended = True  # what was fed is gone from the decoder
            if frames and frames[0].pts == self._index.pts[0] and not frames[0].is_corrupt:
                return frames[0]
        return self.frame(0, {0}, 0)

    def count(self, most: int) -> int:
        """Decodes to the end and counts the frames, giving up above `most`."""
        while not self._ended and self.counted <= most:
            self._feed(None, -1)
            self._ready.clear()
        return self.counted

    def close(self) -> None:
        """Releases the file."""
        self._packets: Iterator[Any] = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _start(self) -> None:
        self.close()
        self._take(*self._file.video(self._threads))

    def _take(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._passes_over = self._stream.codec_context.name in _CAN_PASS_OVER
        self._reset()

    def _reset(self) -> None:
        self._packets = self._container.demux(self._stream)
        self._ready: deque[tuple[int, Any]] = deque()
        self._position = 0  # the next frame that can come out
        self._passed: set[int] = set()  # frames left undecoded on the way here
        self._until_key = False  # after damage nothing counts before the next key frame
        self._ended = False
        self._entry = 0  # the key frame where decoding began
        self.counted = 0

    def _can_go_on(self, target: int) -> bool:
        if target < self._position or target in self._passed or (self._ended and not self._ready):
            return False
        if not self._index.seekable:
            return True
        if self._index.intra:
            return target - self._position < _INTRA_SEEK_PAYS
        return int(self._index.key[target]) <= self._position + _SEEK_PAYS

    def _go_to(self, target: int) -> None:
        """Makes the packet of the key frame that `target` builds on the next one."""
        key = int(self._index.key[target])
        while key in self._no_entry:
            key = int(self._index.key[key - 1])
        if not self._index.seekable:
            self._start()
            return
        dts = int(self._index.dts[key])
        self._container.seek(dts, stream=self._stream, backward=True)
        self._stream.codec_context.flush_buffers()
        self._reset()
        for packet in self._packets:
            if packet.dts == dts and packet.is_keyframe:
                self._packets = _put_back(packet, self._packets)
                self._position = self._entry = key
                return
            if packet.dts is None or packet.dts > dts:
                break
        self._start()  # the container cannot seek there

    def _decode_to(self, target: int, asked: set[int], last: int) -> Any | None:
        """Feeds packets until `target` comes out; None where it proved damaged, or the decoder started again."""
        while True:
            while self._ready:
                number, frame = self._ready.popleft()
                self._position = number + 1
                if number == target:
                    return frame
            if target in self.damaged:
                return None
            if self._ended or self._position > target:
                self.damaged.add(target)
                return None
            if not self._feed(asked, last):
                return None

    def _feed(self, asked: set[int] | None, last: int) -> bool:
        """Decodes one more packet into `_ready`; False where the decoder started again."""
        packet: Any = next(self._packets, None)
        self._ended = packet is None or not packet.size
        context = self._stream.codec_context
        number = None if self._ended else self._number.get(packet.pts)
        if not self._ended and self._index.seekable and packet.pts in self._index.lost:
            return self._drain(until_key=True)
        if self._until_key and not self._ended:
            if not packet.is_keyframe:
                return True
            self._until_key = False
        if number is not None and number < self._entry:
            return True  # shown before the key frame, so it builds on frames before it, which the decoder has not seen
        if asked is not None and number is not None and number not in asked:
            if self._index.intra:
                self._passed.add(number)
                return True
            if self._passes_over:
                self._passed.add(number)
        if self._passes_over:
            context.skip_frame = "NONREF" if number in self._passed else "DEFAULT"
        if not self._decode(None if self._ended else packet, number):
            return False
        if self._index.intra and number == last and not self._ended:
            return self._drain(until_key=False)  # no need to feed more for the frames still in the threads
        return True

    def _decode(self, packet: Any, number: int | None) -> bool:
        import av

        try:
            frames = self._stream.codec_context.decode(packet)
        except (av.error.FFmpegError, EOFError):
            return self._handle_damage(number)
        for frame in frames:
            place = self._number.get(frame.pts) if self._index.seekable else self.counted
            self.counted += 1
            if place is None or place in self.damaged:
                continue
            if frame.is_corrupt:
                return self._handle_damage(place)
            if place < (self._ready[-1][0] + 1 if self._ready else self._position):
                raise CineError(self._file.path, "its time stamps contradict the order of its frames")
            self._ready.append((place, frame))
        return True

    def _handle_damage(self, number: int | None) -> bool:
        """Makes sure whose fault it is before a frame is called damaged; False where the decoder started again."""
        if self._threads != 1:  # several threads report an error late
            self._threads = 1
            self._start()
            return False
        if number is not None:
            if self._entry and self._index.key[number] == self._entry:  # a key frame in name only, perhaps
                self._no_entry.add(self._entry)
                self._start()
                return False
            self.damaged |= self._index.after_damage(number)
        return self._ended or self._drain(until_key=True)

    def _drain(self, *, until_key: bool) -> bool:
        """Takes what is still in the decoder and makes it ready for another packet."""
        already = self._until_key
        self._until_key = until_key
        if already and until_key:
            return True
        going_on = self._decode(None, None)
        if going_on:
            self._stream.codec_context.flush_buffers()
        return going_on


def _put_back(packet: Any, packets: Iterator[Any]) -> Iterator[Any]:
    yield packet
    yield from packets
