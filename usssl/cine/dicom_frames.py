"""Finds each frame's bytes inside the pixel data, from item headers alone (DICOM PS3.5 A.4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from usssl.cine.bytes_at import reader_at
from usssl.errors import CineError, CineLimitError

Segment = tuple[int, int]  # offset in the stream, length

_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"
_FRAME_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0c")  # JPEG and JPEG-LS, JPEG 2000, JP2
_MAX_FRAGMENTS = 1 << 21


@dataclass(frozen=True)
class FrameTable:
    """Where the frames lie.

    Attributes:
        frames: for each frame the segments of the stream that, joined, are its bytes.
        warnings: sentences on what the file says wrongly.
    """

    frames: tuple[tuple[Segment, ...], ...]
    warnings: tuple[str, ...] = ()


def native_frames(start: int, length: int, size: int, frame_bytes: int, declared: int | None) -> FrameTable:
    """Frames of uncompressed pixel data: one after another.

    Args:
        start: offset of the pixel data.
        length: their length as the element states.
        size: bytes in the stream.
        frame_bytes: bytes of one frame.
        declared: NumberOfFrames, or None where it is not stated or makes no sense.
    """
    present = max(0, min(length, size - start)) // frame_bytes
    frames = present if declared is None else min(present, declared)
    table = tuple(((start + n * frame_bytes, frame_bytes),) for n in range(frames))
    return FrameTable(table, _count_warnings(declared, present))


def encapsulated_frames(
    path: Path,
    stream: BinaryIO,
    start: int,
    declared: int | None,
    extended_offsets: Sequence[int] = (),
    one_fragment_a_frame: bool = False,
    is_stream: bool = False,
) -> FrameTable:
    """Frames of encapsulated pixel data.

    An offset table, extended or basic, is believed only where each of its entries points at an item; otherwise frames
    are told by the markers that their coded data start with.

    Args:
        path: for messages.
        stream: the file.
        start: offset of the pixel data's value.
        declared: NumberOfFrames, or None where it is not stated or makes no sense.
        extended_offsets: the Extended Offset Table (7FE0,0001), where there is one.
        one_fragment_a_frame: for RLE, where the standard wants it so (PS3.5 A.4.2).
        is_stream: all fragments are one video stream (PS3.5 A.4.8), which can be read up to where it is cut off.

    Raises:
        CineError: if there is no item at `start`.
        CineLimitError: if there are more than two million fragments.
    """
    listed = None if is_stream else _listed_frames(stream, start, extended_offsets)
    if listed is not None:
        return FrameTable(listed if declared is None else listed[:declared], _count_warnings(declared, len(listed)))
    table, fragments, complete = _scan(path, stream, start)
    notes = [] if complete else ["the file is cut off within the pixel data"]
    if not fragments:
        return FrameTable((), (*notes, "there are no whole frames"))
    if is_stream:
        return FrameTable((tuple(fragments),), tuple(notes))
    base = fragments[0][0] - 8
    groups: list[list[Segment]] | None = None
    for name, offsets in (("extended", list(extended_offsets)), ("basic", table)):
        if offsets and groups is None:
            groups = _by_offsets(fragments, [base + offset for offset in offsets])
            if groups is None and complete:
                notes.append(f"the {name} offset table is wrong and was not used")
    if groups is None or (declared is not None and len(groups) != declared and len(fragments) == declared):
        groups = _by_markers(stream, fragments, declared if complete else None, one_fragment_a_frame)
    if not complete and not one_fragment_a_frame and not _ends_with_marker(stream, groups[-1][-1]):
        groups = groups[:-1]  # its last fragments may be missing
    notes.extend(_count_warnings(declared, len(groups)))
    kept = groups if declared is None else groups[:declared]
    return FrameTable(tuple(tuple(group) for group in kept), tuple(notes))


def _listed_frames(
    stream: BinaryIO, start: int, extended_offsets: Sequence[int]
) -> tuple[tuple[Segment, ...], ...] | None:
    """What most files hold: frames of one fragment each, all of them in the offset table; None for any other.

    Every item header is read, as in `_scan`, but they are checked together, which is quicker: each item has to reach to
    the place of the next one, the last to the end of the sequence.
    """
    size = stream.seek(0, 2)
    read = reader_at(stream)
    head = read(8, start)
    length = int.from_bytes(head[4:], "little")
    first = start + 8 + length
    if head[:4] != _ITEM or first + 16 > size:
        return None
    basic = np.frombuffer(read(length // 4 * 4, start + 8), "<u4")
    offsets = np.array(extended_offsets, np.uint64) if extended_offsets else basic
    if not 0 < len(offsets) <= _MAX_FRAGMENTS or offsets[0] != 0 or int(offsets.max()) > size - first - 16:
        return None
    places = offsets.astype(np.int64) + first
    heads = b"".join([read(8, place) for place in places.tolist()])
    if len(heads) != 8 * len(places):  # it shrinks while it is read
        return None
    tags, lengths = np.frombuffer(heads, "<u4").astype(np.int64).reshape(-1, 2).T
    ends = places + 8 + lengths
    whole = (tags == int.from_bytes(_ITEM, "little")).all() and (ends[:-1] == places[1:]).all()
    if not whole or ends[-1] + 8 > size or read(4, int(ends[-1])) != _END:
        return None
    return tuple(zip(zip((places + 8).tolist(), lengths.tolist(), strict=True), strict=True))


def _scan(path: Path, stream: BinaryIO, start: int) -> tuple[list[int], list[Segment], bool]:
    """(basic offset table, fragments, whether the sequence came to its end)."""
    size = stream.seek(0, 2)
    read = reader_at(stream)
    place = start
    table: list[int] | None = None
    fragments: list[Segment] = []
    while place + 8 <= size:
        head = read(8, place)
        if head[:4] == _END:
            return table or [], fragments, True
        length = int.from_bytes(head[4:], "little")
        if head[:4] != _ITEM:
            if table is None:
                raise CineError(path, "its encapsulated pixel data do not start with an item")
            return table, fragments, False
        if place + 8 + length > size:
            return table or [], fragments, False
        if table is None:
            data = read(length, place + 8)
            table = [int.from_bytes(data[i : i + 4], "little") for i in range(0, length - 3, 4)]
        else:
            fragments.append((place + 8, length))
            if len(fragments) > _MAX_FRAGMENTS:
                raise CineLimitError(path, f"its pixel data have more than {_MAX_FRAGMENTS} fragments")
        place += 8 + length
    return table or [], fragments, False


def _by_offsets(fragments: list[Segment], offsets: list[int]) -> list[list[Segment]] | None:
    """Groups fragments by the offsets of their items, or None where the offsets do not fit them."""
    items = {offset - 8: n for n, (offset, _) in enumerate(fragments)}
    if any(offset not in items for offset in offsets):
        return None
    firsts = [*(items[offset] for offset in offsets), len(fragments)]
    if firsts[0] != 0 or any(b <= a for a, b in itertools.pairwise(firsts)):
        return None
    return [fragments[a:b] for a, b in itertools.pairwise(firsts)]


def _by_markers(
    stream: BinaryIO, fragments: list[Segment], declared: int | None, one_fragment_a_frame: bool
) -> list[list[Segment]]:
    if one_fragment_a_frame or len(fragments) == declared:
        return [[fragment] for fragment in fragments]
    if declared == 1:
        return [fragments]
    groups: list[list[Segment]] = []
    read = reader_at(stream)
    for fragment in fragments:
        if not groups or read(4, fragment[0]).startswith(_FRAME_STARTS):
            groups.append([])
        groups[-1].append(fragment)
    return groups


def _ends_with_marker(stream: BinaryIO, fragment: Segment) -> bool:
    """JPEG, JPEG-LS and JPEG 2000 all end a picture with FFD9, which may be padded."""
    offset, length = fragment
    return reader_at(stream)(min(4, length), offset + max(0, length - 4)).rstrip(b"\0\xff").endswith(b"\xff\xd9")


def _count_warnings(declared: int | None, present: int) -> tuple[str, ...]:
    if declared is None:
        return (f"the header states no sensible number of frames; {present} were found",)
    if present < declared:
        return (f"the header claims {declared} frames, the file holds {present}",)
    if present > declared:
        return (f"the file holds data for {present} frames, the header claims {declared}; the rest was left out",)
    return ()
