"""From a decoded video frame to grey or RGB pixels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

_LUMA_FIRST = ("gray", "yuv4", "yuvj4", "yuva4", "nv12", "nv21", "nv16", "nv24")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def is_grey_format(pixel_format: str) -> bool:
    """True for formats without colour planes, such as `gray` and `gray10le`."""
    return pixel_format.startswith(("gray", "mono", "ya8", "ya16"))


def frame_pixels(frame: Any, channels: int, rotation: int, reformatter: Any) -> np.ndarray:
    """Pixels of a PyAV video frame as it is to be shown.

    Grey is the luma plane, stretched from 16–235 to 0–255 where the stream is of limited range; for RGB formats it is
    the ITU-R 601 luma.

    Args:
        frame: a decoded frame.
        channels: 1 or 3.
        rotation: degrees counter-clockwise, a multiple of 90.
        reformatter: a PyAV `VideoReformatter`, the same for all frames of a stream, since making one takes long.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`.
    """
    if channels == 3:
        pixels = _converted(frame, "rgb24", reformatter)
    elif _has_luma_plane(frame.format):
        pixels = _luma(frame)
    else:
        pixels = _converted(frame, "gray", reformatter)
    return np.rot90(pixels, rotation // 90) if rotation else pixels


def _converted(frame: Any, pixel_format: str, reformatter: Any) -> np.ndarray:
    # One thread: for one small frame, starting several takes ten times as long as the conversion.
    return reformatter.reformat(frame, format=pixel_format, threads=1).to_ndarray()


def _has_luma_plane(pixel_format: Any) -> bool:
    name = pixel_format.name
    return name.startswith(_LUMA_FIRST) and not name.endswith("be") and pixel_format.components[0].bits in (8, 10, 12)


def _luma(frame: Any) -> np.ndarray:
    import cv2

    plane, bits = frame.planes[0], frame.format.components[0].bits
    dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)[: frame.height, : frame.width]
    full = frame.format.name.startswith(("gray", "yuvj")) or frame.color_range == _FULL_RANGE
    if bits > 8:
        return _stretch(bits, full)[np.minimum(rows, (1 << bits) - 1)]
    return rows if full else cv2.LUT(rows, _stretch(8, full))


@cache
def _stretch(bits: int, full: bool) -> np.ndarray:
    """Luma to display bytes; limited range goes from 16 to 235, doubled for each bit above 8 (ITU-R BT.709, 4.6)."""
    black, white = (0, (1 << bits) - 1) if full else (16 << bits - 8, 235 << bits - 8)
    return np.clip(np.rint((np.arange(1 << bits) - black) * 255.0 / (white - black)), 0, 255).astype(np.uint8)
