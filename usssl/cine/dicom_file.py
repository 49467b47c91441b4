"""The DICOM file around the pixels: its header, and where the pixel data lie, without reading them."""

from __future__ import annotations

import io
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from usssl.errors import CineError, CineLimitError

DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

_MAX_INFLATED = 1 << 30  # bytes; a deflated file of a few MB may claim any size
_LONG_ELEMENT = 1 << 20  # bytes; longer elements of the header stay on disk
_ENCAPSULATED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")


@dataclass
class DicomFile:
    """An opened DICOM file.

    Attributes:
        dataset: the pydicom data set up to the pixel data.
        syntax: transfer syntax UID, as the pixels are coded.
        stream: where the pixels are read from: the file, or its inflated content.
        start: offset of the value of the Pixel Data element in `stream`.
        length: bytes of that value, or None where it is encapsulated.
        size: bytes of `stream`.
        swapped: 8-bit samples lie in 16-bit words of big endian (VR OW), so that neighbours have changed places.
    """

    dataset: Any
    syntax: str
    stream: BinaryIO
    start: int
    length: int | None
    size: int
    swapped: bool = False


def open_dicom(path: Path) -> DicomFile:
    """Reads the header and finds the pixel data.

    Raises:
        CineError: if it is not DICOM, is damaged, or holds no pixel data.
        CineLimitError: if a deflated file inflates past 1 GiB.
    """
    from pydicom import config
    from pydicom.errors import InvalidDicomError

    stream: BinaryIO = path.open("rb")
    try:
        declared, meta_end = _transfer_syntax(stream)
        if declared == DEFLATED:
            stream = _inflated(path, stream, meta_end)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values that have no part in the pixels
            config.settings.reading_validation_mode = config.IGNORE
            dataset = _header(stream, declared, meta_end)
        start, length, is_words = _pixel_element(path, stream, dataset)
        syntax = EXPLICIT_LITTLE if declared == DEFLATED else declared or _guessed_syntax(dataset)
        swapped = syntax == EXPLICIT_BIG and is_words and dataset.get("BitsAllocated") == 8
        return DicomFile(dataset, syntax, stream, start, length, stream.seek(0, io.SEEK_END), swapped)
    except InvalidDicomError:
        stream.close()
        raise CineError(path, "it is not a DICOM file") from None
    except BaseException:
        stream.close()
        raise


def _transfer_syntax(stream: BinaryIO) -> tuple[str, int]:
    """(UID, end of file meta group), or ("", 0). Group 2 is always explicit little endian (PS3.10, 7.1)."""
    stream.seek(128)
    if stream.read(4) != b"DICM":
        return "", 0
    uid = ""
    while True:
        place = stream.tell()
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            return uid, place
        length = int.from_bytes(head[6:8], "little")
        if head[4:6] in _LONG_VRS:
            length = int.from_bytes(stream.read(4), "little")
        if head[2:4] == b"\x10\x00":
            uid = stream.read(min(length, 64)).rstrip(b"\0 ").decode("ascii", "replace")
        else:
            stream.seek(length, io.SEEK_CUR)


def _header(stream: BinaryIO, declared: str, meta_end: int) -> Any:
    """The data set up to the pixel data.

    JPEG and RLE are always in explicit little endian (PS3.5 A.4), so that nothing of the file meta group is needed; to
    have pydicom read that once more takes as long as reading the data set.
    """
    from pydicom import FileDataset, dcmread
    from pydicom.filereader import read_dataset

    stream.seek(meta_end)
    if not declared.startswith(_ENCAPSULATED) or stream.read(2) == b"\0\0":  # elements of a command, out of place
        stream.seek(0)
        return dcmread(stream, stop_before_pixels=True, force=True, defer_size=_LONG_ELEMENT)
    stream.seek(meta_end)
    elements = read_dataset(stream, False, True, stop_when=_at_pixels, defer_size=_LONG_ELEMENT)
    dataset = FileDataset(stream, elements, is_implicit_VR=False, is_little_endian=True)
    dataset.set_original_encoding(False, True, elements._character_set)
    return dataset


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in _PIXELS


def _inflated(path: Path, stream: BinaryIO, start: int) -> BinaryIO:
    with stream:
        stream.seek(start)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(stream.read(), _MAX_INFLATED)
        except zlib.error as error:
            raise CineError(path, f"its deflated content is damaged ({error})") from None
    if inflater.unconsumed_tail:
        raise CineLimitError(path, f"its deflated content exceeds {_MAX_INFLATED} bytes")
    return io.BytesIO(content)


def _guessed_syntax(dataset: Any) -> str:
    implicit, little = dataset.original_encoding
    return IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE if little else EXPLICIT_BIG


def _pixel_element(path: Path, stream: BinaryIO, dataset: Any) -> tuple[int, int | None, bool]:
    """(offset, length or None, whether the value is of 16-bit words) of the pixel data."""
    implicit, little = dataset.original_encoding
    order: Literal["little", "big"] = "big" if little is False else "little"
    head = stream.read(8)
    tag = (int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order))
    if tag in ((0x7FE0, 0x0008), (0x7FE0, 0x0009)):
        raise CineError(path, "its pixels are floating point numbers, which are not read")
    if tag != (0x7FE0, 0x0010):
        raise CineError(path, _without_pixels(dataset))
    if implicit or not (head[4:6].isalpha() and head[4:6].isupper()):  # some writers mix up the two
        length = int.from_bytes(head[4:8], order)
    elif head[4:6] in _LONG_VRS:
        length = int.from_bytes(stream.read(4), order)
    else:
        raise CineError(path, "its pixel data element is damaged")
    return stream.tell(), None if length == _UNDEFINED else length, head[4:6] == b"OW"


def _without_pixels(dataset: Any) -> str:
    if "DirectoryRecordSequence" in dataset:
        return "it is a DICOMDIR, a list of files; open the files themselves"
    if len(dataset) == 0:
        return "it is not a DICOM file"
    return "it is a DICOM file without pixel data, or one that was cut off before them"
