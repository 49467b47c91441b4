"""What JPEG, JPEG-LS and JPEG 2000 data say of themselves, read before a decoder sees them."""

from __future__ import annotations

from dataclasses import dataclass

_FRAME_MARKERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}  # SOFn; F7 is JPEG-LS
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))


@dataclass(frozen=True)
class JpegHeader:
    """Size and colour of a JPEG image.

    Attributes:
        rows: lines of the image.
        columns: samples a line.
        samples: components.
        precision: bits of a sample.
        subsampled: the components differ in sampling.
        jfif: a JFIF marker is there, which prescribes YCbCr.
        adobe: the transform of an Adobe marker (0 RGB, 1 YCbCr, 2 YCCK), or None.
        ids: component identifiers.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    subsampled: bool
    jfif: bool
    adobe: int | None
    ids: bytes

    def is_ycc(self, photometric: str) -> bool:
        """True where three components are YCbCr.

        What the coded data say outweighs the DICOM tag, which often says RGB of images that a JPEG library turned to
        YCbCr while coding: an Adobe or JFIF marker, or subsampling. Only where they are silent does the tag decide.
        """
        if self.adobe is not None:
            return self.adobe != 0
        if self.jfif or self.subsampled:
            return True
        if self.ids == b"RGB":
            return False
        return photometric.startswith("YBR")

    @property
    def libjpeg_takes_ycc(self) -> bool:
        """Whether libjpeg takes three components for YCbCr (its `default_decompress_parms`)."""
        if self.jfif:
            return True
        if self.adobe is not None:
            return self.adobe != 0
        return self.ids != b"RGB"


@dataclass(frozen=True)
class Jpeg2000Header:
    """Size and colour transform of a JPEG 2000 codestream."""

    rows: int
    columns: int
    samples: int
    color_transform: bool


def jpeg_header(data: bytes) -> JpegHeader:
    """Reads the markers up to the start of the scan.

    Raises:
        ValueError: if `data` are not JPEG or end before the frame header.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not JPEG data")
    place, jfif, adobe = 2, False, None
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise ValueError("a JPEG marker is missing")
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + length]
        if marker == 0xE0 and body.startswith(b"JFIF\0"):
            jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker in _FRAME_MARKERS:
            return _frame_header(body, jfif, adobe)
        elif marker in (0xDA, 0xD9):
            break
        place += 2 + max(length, 2)
    raise ValueError("JPEG data without a frame header")


def _frame_header(body: bytes, jfif: bool, adobe: int | None) -> JpegHeader:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise ValueError("a JPEG frame header that is cut off")
    components = [body[6 + 3 * n : 9 + 3 * n] for n in range(body[5])]
    return JpegHeader(
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        samples=body[5],
        precision=body[0],
        subsampled=len({c[1] for c in components}) > 1,
        jfif=jfif,
        adobe=adobe,
        ids=bytes(c[0] for c in components),
    )


def jpeg2000_header(data: bytes) -> Jpeg2000Header:
    """Reads the SIZ and COD markers of a codestream, bare or in a JP2 file.

    Raises:
        ValueError: if there is no codestream.
    """
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(data) < start + 42:
        raise ValueError("not JPEG 2000 data")
    siz = data[start + 4 :]
    x1, y1, x0, y0 = (int.from_bytes(siz[n : n + 4], "big") for n in (4, 8, 12, 16))
    samples = int.from_bytes(siz[36:38], "big")
    place = start + 4 + int.from_bytes(siz[:2], "big")
    transform = False
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0x90:
        if data[place + 1] == 0x52 and place + 9 <= len(data):
            transform = data[place + 8] == 1
            break
        place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return Jpeg2000Header(y1 - y0, x1 - x0, samples, transform)


def is_complete_jpeg(data: bytes) -> bool:
    """True where JPEG data end with their end marker, but for padding: libjpeg fills up what is missing with grey."""
    return data[-64:].rstrip(b"\0\xff").endswith(b"\xff\xd9")
