"""Decoding of one DICOM frame to its stored samples: one small function for each family of transfer syntaxes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from usssl.cine.dicom_file import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from usssl.cine.jpeg_headers import jpeg2000_header, jpeg_header

RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
UNCOMPRESSED_FRAMES = "1.2.840.10008.1.2.1.98"
_JPEG = "1.2.840.10008.1.2.4."
JPEG_DCT = frozenset(_JPEG + n for n in ("50", "51"))
JPEG_LOSSLESS = frozenset(_JPEG + n for n in ("57", "70"))
JPEG_LS = frozenset(_JPEG + n for n in ("80", "81"))
JPEG_2000 = frozenset(_JPEG + n for n in ("90", "91", "92", "93", "201", "202", "203"))  # 201–203: high throughput
NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG))
VIDEO = frozenset(
    _JPEG + n
    for n in (
        "100",
        "100.1",
        "101",
        "101.1",
        "102",
        "102.1",
        "103",
        "103.1",
        "104",
        "104.1",
        "105",
        "105.1",
        "106",
        "106.1",
        "107",
        "108",
    )
)


@dataclass(frozen=True)
class PixelLayout:
    """How samples are stored (PS3.3 C.7.6.3).

    Attributes:
        syntax: transfer syntax UID.
        rows: of a frame.
        columns: of a frame.
        samples: a pixel: 1 or 3.
        allocated: bits of a stored sample: 8, 16 or 32.
        stored: bits of it that count.
        signed: two's complement.
        photometric: interpretation, such as `YBR_FULL_422`.
        planar: colour planes lie one after another.
    """

    syntax: str
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: str
    planar: bool

    @property
    def native_bytes(self) -> int:
        """Bytes of one uncompressed frame; 4:2:2 keeps two samples a pixel (C.7.6.3.1.2)."""
        samples = 2 if self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


def stored_samples(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    """Decodes one frame.

    Args:
        data: its bytes.
        layout: how they are meant.

    Returns:
        `(H, W)` or `(H, W, 3)` of unsigned or signed integers, and the photometric interpretation that they now have.

    Raises:
        ValueError: if the data do not decode to what `layout` says; decoders raise other exceptions, too.
    """
    samples, photometric = _decoder(layout.syntax)(data, layout)
    expected = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if samples.shape != expected:
        raise ValueError(f"decoded to {samples.shape}, the header says {expected}")
    return samples, photometric


def is_supported(syntax: str) -> bool:
    """True where `stored_samples` can decode the transfer syntax."""
    return any(syntax in family for family, _ in _DECODERS)


def _decoder(syntax: str) -> Callable[[bytes, PixelLayout], tuple[np.ndarray, str]]:
    return next(decode for family, decode in _DECODERS if syntax in family)


def _native(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    order = ">" if layout.syntax == EXPLICIT_BIG else "<"
    values = np.frombuffer(data, _dtype(layout, order))
    if values.nbytes != layout.native_bytes:
        raise ValueError(f"{values.nbytes} bytes where a frame has {layout.native_bytes}")
    if layout.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        pairs = values.reshape(layout.rows, layout.columns // 2, 4)  # Y1 Y2 Cb Cr
        full = np.empty((layout.rows, layout.columns // 2, 2, 3), values.dtype)
        full[..., 0] = pairs[..., :2]
        full[..., 1:] = pairs[..., None, 2:]
        return full.reshape(layout.rows, layout.columns, 3), "YBR_FULL"
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns), layout.photometric
    if layout.planar:
        return np.moveaxis(values.reshape(layout.samples, layout.rows, layout.columns), 0, -1), layout.photometric
    return values.reshape(layout.rows, layout.columns, layout.samples), layout.photometric


def _deflated(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return _native(inflater.decompress(data, layout.native_bytes), layout)


def _rle(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    from rle.utils import decode_frame

    planes = np.frombuffer(decode_frame(data, layout.rows * layout.columns, layout.allocated, "<"), _dtype(layout, "<"))
    if layout.samples == 1:
        return planes.reshape(layout.rows, layout.columns), layout.photometric
    return np.moveaxis(planes.reshape(layout.samples, layout.rows, layout.columns), 0, -1), layout.photometric


def _jpeg(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    import libjpeg

    header = jpeg_header(data)
    _check_size(header.rows, header.columns, header.samples, layout)
    samples = libjpeg.decode(data, 0)
    photometric = layout.photometric
    if layout.samples == 3 and layout.syntax in JPEG_DCT:
        photometric = "YBR_FULL" if header.is_ycc(layout.photometric) else "RGB"
    elif photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"
    return _signed(samples, layout), photometric


def _jpeg_2000(data: bytes, layout: PixelLayout) -> tuple[np.ndarray, str]:
    import openjpeg

    header = jpeg2000_header(data)
    _check_size(header.rows, header.columns, header.samples, layout)
    samples = openjpeg.decode(data)
    photometric = layout.photometric
    if header.color_transform or photometric in ("YBR_ICT", "YBR_RCT"):
        photometric = "RGB" if layout.samples == 3 else photometric  # the decoder has undone the transform
    elif photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"
    return samples, photometric


_DECODERS: tuple[tuple[frozenset[str], Callable[[bytes, PixelLayout], tuple[np.ndarray, str]]], ...] = (
    (NATIVE | {UNCOMPRESSED_FRAMES}, _native),
    (frozenset((DEFLATED_FRAMES,)), _deflated),
    (frozenset((RLE,)), _rle),
    (JPEG_DCT | JPEG_LOSSLESS | JPEG_LS, _jpeg),
    (JPEG_2000, _jpeg_2000),
)


def _dtype(layout: PixelLayout, order: str) -> np.dtype:
    return np.dtype(f"{order}{'i' if layout.signed else 'u'}{layout.allocated // 8}")


def _signed(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    return samples.view(samples.dtype.str.replace("u", "i")) if layout.signed else samples


def _check_size(rows: int, columns: int, samples: int, layout: PixelLayout) -> None:
    """Before the decoder allocates what the coded data claim."""
    if (rows, columns, samples) != (layout.rows, layout.columns, layout.samples):
        raise ValueError(
            f"its coded size is {columns}x{rows}x{samples}, the header says "
            f"{layout.columns}x{layout.rows}x{layout.samples}"
        )
