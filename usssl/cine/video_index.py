"""The packet index of a video stream: which frame has which time, and from which key frame it can be decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usssl.errors import CineLimitError

# These store frames in the order of decoding and nothing else; where frames are reordered, FFmpeg's times are guesses.
_NO_PRESENTATION_TIMES = frozenset(("avi", "h264", "hevc", "mpegvideo"))


@dataclass(frozen=True)
class VideoIndex:
    """The readable frames of a stream in the order in which they are shown.

    Attributes:
        pts: presentation time stamps, int64 `(frames,)`, strictly ascending, in units of the stream's time base.
        order: place of each frame's packet in the file, int64 `(frames,)`: the order of decoding.
        key: for each frame the number of the key frame to decode from, int64 `(frames,)`.
        dts: decoding time stamps, int64 `(frames,)`.
        intra: every frame is a key frame.
        seekable: False where time stamps are missing or repeat: frames can then only be counted from the start.
        lost: time stamps of the frames left out because their packets are damaged, or because they build on such a
            frame.
    """

    pts: np.ndarray
    order: np.ndarray
    key: np.ndarray
    dts: np.ndarray
    intra: bool
    seekable: bool
    lost: frozenset[int] = frozenset()

    @classmethod
    def without_times(cls, frames: int) -> VideoIndex:
        """The index of a stream without time stamps: frames are their own numbers, and all build on the first."""
        count = np.arange(frames, dtype=np.int64)
        return cls(count, count, np.zeros_like(count), count, intra=False, seekable=False)

    def after_damage(self, frame: int) -> set[int]:
        """Frames not to be trusted once the packet of `frame` failed: it and what builds on it or is shown later."""
        group = np.flatnonzero(self.key == self.key[frame])
        first = group[self.order[group] >= self.order[frame]].min()
        return set(group[group >= first].tolist())


@dataclass(frozen=True)
class _Packet:
    pts: int | None
    dts: int | None
    order: int
    is_key: bool
    is_broken: bool


def build_index(container: Any, stream: Any, path: Path, max_frames: int) -> VideoIndex:
    """Reads the packets of a stream once, without decoding.

    Args:
        container: an open PyAV input container, at its start.
        stream: one of its video streams.
        path: for messages.
        max_frames: the limit.

    Raises:
        CineLimitError: if there are more packets than `max_frames`.
    """
    codec = stream.codec_context.name
    prefix = _nal_prefix(codec, stream.codec_context.extradata or b"")
    packets: list[_Packet] = []
    for packet in container.demux(stream):
        if not packet.size or packet.is_discard:
            continue  # the flush packet at the end; frames cut away by an edit list
        if codec in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10:
            continue  # an alternate reference frame, decoded but never shown (RFC 6386, 9.1)
        broken = packet.is_corrupt or (prefix > 0 and not _nal_chain_holds(memoryview(packet), prefix))
        broken = broken or (codec == "gif" and not _gif_image_ends(bytes(packet)))
        packets.append(_Packet(packet.pts, packet.dts, len(packets), packet.is_keyframe, broken))
        if len(packets) > max_frames:
            raise CineLimitError(path, f"it has more than {max_frames} frames, the limit")
    reordered = bool(stream.codec_context.reorder_depth) and container.format.name in _NO_PRESENTATION_TIMES
    return _index_of(packets, has_times=not reordered)


def _index_of(packets: list[_Packet], *, has_times: bool) -> VideoIndex:
    stamps = {p.pts for p in packets}
    seekable = has_times and None not in stamps and len(stamps) == len(packets)
    shown = sorted(packets, key=lambda p: p.pts or 0) if seekable else packets
    lost = _lost(shown) if seekable else set()
    kept = [p for p in shown if p.order not in lost]
    keys = np.array([p.is_key for p in kept], bool)
    if len(keys):
        keys[0] = True  # the stream starts here: there is nothing earlier to decode from
    return VideoIndex(
        pts=_int64(p.pts for p in kept),
        order=_int64(p.order for p in kept),
        key=np.maximum.accumulate(np.where(keys, np.arange(len(kept)), 0)) if kept else _int64([]),
        dts=_int64(p.dts if p.dts is not None else p.pts for p in kept),
        intra=bool(keys.all()),
        seekable=seekable,
        lost=frozenset(p.pts for p in shown if p.order in lost and p.pts is not None),
    )


def _lost(shown: list[_Packet]) -> set[int]:
    """Places of the packets that are damaged, or shown after such damage and before the next key frame."""
    lost: set[int] = set()
    group: list[_Packet] = []
    for packet in [*shown, None]:
        if packet is None or packet.is_key:
            broken = min((p.order for p in group if p.is_broken), default=None)
            if broken is not None:
                first = next(n for n, p in enumerate(group) if p.order >= broken)
                lost.update(p.order for p in group[first:])
            group = []
        if packet is not None:
            group.append(packet)
    return lost


def _int64(values: Iterable[int | None]) -> np.ndarray:
    return np.array([v or 0 for v in values], np.int64)


def _nal_prefix(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit (ISO/IEC 14496-15), or 0 where the stream is not stored with lengths."""
    if codec == "h264" and len(extradata) > 6 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and len(extradata) > 22 and extradata[0] == 1:
        return (extradata[21] & 3) + 1
    return 0


def _gif_image_ends(data: bytes) -> bool:
    """The data blocks of the image must come to their end (GIF89a, 22): FFmpeg fills up what is missing."""
    place = 0
    if data.startswith(b"GIF8") and len(data) > 10:
        place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while place < len(data) and data[place] == 0x21:  # extensions
        place = _gif_blocks_end(data, place + 2)
    if place + 10 >= len(data) or data[place] != 0x2C:
        return False
    packed = data[place + 9]
    place += 10 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    return _gif_blocks_end(data, place + 1) <= len(data)


def _gif_blocks_end(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += data[place] + 1
    return place + 1


def _nal_chain_holds(data: memoryview, prefix: int) -> bool:
    """The lengths of the NAL units must lead exactly to the end of the packet, and no forbidden bit be set."""
    place = 0
    while place + prefix < len(data):
        if data[place + prefix] & 0x80:
            return False
        place += prefix + int.from_bytes(data[place : place + prefix], "big")
    return place == len(data)
