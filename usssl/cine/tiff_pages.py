"""The pages of a TIFF file by its directories (TIFF 6.0, section 2; BigTIFF), without decoding them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

ByteOrder = Literal["little", "big"]

_WIDTH, _LENGTH, _SUBFILE, _DESCRIPTION, _BITS, _SAMPLES = 256, 257, 254, 270, 258, 277
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}  # field types read here: BYTE, ASCII, SHORT, LONG, LONG8
_MAX_TEXT = 1 << 16


@dataclass(frozen=True)
class TiffPage:
    """One image of a TIFF file.

    Attributes:
        rows: of the image.
        columns: of the image.
        samples: a pixel.
        bits: a sample.
        is_reduced: a smaller copy of another page.
        description: free text, in which ImageJ keeps the frame rate.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    is_reduced: bool
    description: str

    @property
    def fps(self) -> float | None:
        """Frames a second as ImageJ writes it (`fps=` or `finterval=` in seconds), or None."""
        for name, invert in (("fps", False), ("finterval", True)):
            match = re.search(rf"^{name}=([0-9.eE+-]+)\s*$", self.description, re.MULTILINE)
            value = _positive(match[1]) if match else 0.0
            if value:
                return 1.0 / value if invert else value
        return None


def tiff_pages(stream: BinaryIO, most: int) -> Iterator[TiffPage]:
    """Yields the pages in order, at most `most`.

    Raises:
        ValueError: if a directory is damaged or the chain of directories runs in a circle.
    """
    stream.seek(0)
    head = stream.read(16)
    order: ByteOrder = "little" if head[:2] == b"II" else "big"
    big = head[2:4] in (b"+\0", b"\0+")
    pointer = 8 if big else 4
    place = int.from_bytes(head[8:16] if big else head[4:8], order)
    seen: set[int] = set()
    while place and len(seen) < most:
        if place in seen:
            raise ValueError("its TIFF directories run in a circle")
        seen.add(place)
        stream.seek(place)
        count = _integer(stream, 8 if big else 2, order)
        if count > 4096:
            raise ValueError("a TIFF directory is damaged")
        entries = stream.read(count * (20 if big else 12))
        place = _integer(stream, pointer, order)
        yield _page(stream, entries, order, big)


def _page(stream: BinaryIO, entries: bytes, order: ByteOrder, big: bool) -> TiffPage:
    size = 20 if big else 12
    found: dict[int, tuple[int, bytes]] = {}
    for start in range(0, len(entries) - size + 1, size):
        entry = entries[start : start + size]
        tag, kind = (int.from_bytes(entry[n : n + 2], order) for n in (0, 2))
        if tag not in (_WIDTH, _LENGTH, _SUBFILE, _DESCRIPTION, _BITS, _SAMPLES) or kind not in _SIZES:
            continue
        count = int.from_bytes(entry[4 : 12 if big else 8], order)
        inline = entry[12:] if big else entry[8:]
        length = min(count * _SIZES[kind], _MAX_TEXT)
        if length > len(inline):
            stream.seek(int.from_bytes(inline, order))
            inline = stream.read(length)
        found[tag] = (_SIZES[kind], inline[:length])

    def value(tag: int, default: int) -> int:
        width, data = found.get(tag, (0, b""))
        return int.from_bytes(data[:width], order) if data else default

    if value(_WIDTH, 0) < 1 or value(_LENGTH, 0) < 1:
        raise ValueError("a TIFF directory states no size")
    return TiffPage(
        rows=value(_LENGTH, 0),
        columns=value(_WIDTH, 0),
        samples=value(_SAMPLES, 1),
        bits=value(_BITS, 1),
        is_reduced=bool(value(_SUBFILE, 0) & 1),
        description=found.get(_DESCRIPTION, (1, b""))[1].rstrip(b"\0").decode("latin-1"),
    )


def _integer(stream: BinaryIO, size: int, order: ByteOrder) -> int:
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("its TIFF directories are cut off")
    return int.from_bytes(data, order)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 1e-6 < value < 1e6 else 0.0
