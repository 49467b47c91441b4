"""Tells by its first bytes what kind of file a cine is in; names and extensions are not asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from usssl.errors import CineError

HEAD = 1024  # bytes that `kind_of` needs

_START = (
    (b"RIFF", "avi"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpegvideo"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"ObjectType", "metaimage"),
    (b"NDims", "metaimage"),
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"BM", "image"),
    (b"\x00\x00\x00\x01\x67", "h264"),
    (b"\x00\x00\x01\x67", "h264"),
    (b"\x00\x00\x00\x01\x09", "h264"),
    (b"\x00\x00\x00\x01\x40", "hevc"),
)
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")

VIDEO_FORMATS = {
    "mp4": "mov",
    "avi": "avi",
    "matroska": "matroska",
    "mpeg": "mpeg",
    "mpegvideo": "mpegvideo",
    "mpegts": "mpegts",
    "gif": "gif",
    "ogg": "ogg",
    "flv": "flv",
    "asf": "asf",
    "h264": "h264",
    "hevc": "hevc",
}
"""Kind of container → the one demultiplexer that may touch it."""


def kind_of(head: bytes) -> str | None:
    """Names the kind of content by its first bytes (`HEAD` of them), or None where no kind fits.

    Returns:
        `dicom`, `tiff`, `npy`, `npz`, `metaimage`, `image`, or a key of `VIDEO_FORMATS`.
    """
    if head[128:132] == b"DICM":
        return "dicom"
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpegts"
    for start, kind in _START:
        if head.startswith(start):
            if kind == "avi" and head[8:12] != b"AVI ":
                continue
            return kind
    return "dicom" if _is_bare_dicom(head) else None


def _is_bare_dicom(head: bytes) -> bool:
    """A DICOM data set without preamble starts with group 2 or 8 and a small element number, little or big endian."""
    if len(head) < 16:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group = int.from_bytes(head[0:2], order)
        element = int.from_bytes(head[2:4], order)
        if group in (2, 8) and element <= 0x1000:
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = int.from_bytes(head[4:8], order)
            if explicit or length <= 256:
                return True
    return False


def read_head(path: Path) -> bytes:
    """The first `HEAD` bytes of a regular file.

    Raises:
        CineError: if it is missing, empty, not a regular file, or may not be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise CineError(path, "it is neither a regular file nor a folder")
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise CineError(path, f"{error.strerror or error}".lower()) from None
    if not head:
        raise CineError(path, "the file is empty")
    return head
