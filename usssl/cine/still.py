"""Still images (PNG, JPEG, BMP, TIFF) as frames: their size is known before a decoder allocates for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from usssl.cine.jpeg_headers import jpeg_header
from usssl.cine.tiff_pages import tiff_pages
from usssl.cine.tones import to_display


def image_size(path: Path) -> tuple[int, int]:
    """(rows, columns) of an image file, from its header.

    Raises:
        ValueError: if it is no PNG, JPEG, BMP or TIFF, or its header is damaged.
        OSError: if it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(26)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
            return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
        if head.startswith(b"BM") and len(head) == 26:
            rows = int.from_bytes(head[22:26], "little", signed=True)
            return abs(rows), int.from_bytes(head[18:22], "little", signed=True)
        if head.startswith(b"\xff\xd8"):
            stream.seek(0)
            header = jpeg_header(stream.read(1 << 20))
            return header.rows, header.columns
        if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            page = next(iter(tiff_pages(stream, 1)))
            return page.rows, page.columns
    raise ValueError("not a PNG, JPEG, BMP or TIFF image")


def read_image(path: Path) -> np.ndarray:
    """Decodes a still image; transparency is dropped.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`.

    Raises:
        ValueError: if it cannot be decoded.
        OSError: if it cannot be read.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("it cannot be decoded")
    return from_bgr(image)


def from_bgr(image: np.ndarray) -> np.ndarray:
    """What OpenCV decodes, as display bytes in RGB.

    Args:
        image: `(H, W)`, `(H, W, 3)` BGR or `(H, W, 4)` BGRA, 8 or 16 bits.
    """
    shown = to_display(image)
    if shown.ndim == 3 and shown.shape[2] == 1:
        return shown[..., 0]
    return np.ascontiguousarray(shown[..., 2::-1]) if shown.ndim == 3 else shown
