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


def frame_pixels(frame: Any, channels: int, rotation: int) -> np.ndarray:
    """Pixels of a PyAV video frame as it is to be shown.

    Grey is the luma plane, stretched from 16–235 to 0–255 where the stream is of limited range; for RGB formats it is
    the ITU-R 601 luma.

    Args:
        frame: a decoded frame.
        channels: 1 or 3.
        rotation: degrees counter-clockwise, a multiple of 90.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`.
    """
    if channels == 3:
        pixels = frame.to_ndarray(format="rgb24")
    elif _has_byte_luma(frame.format):
        pixels = _luma(frame)
    else:
        pixels = frame.to_ndarray(format="gray")
    return np.rot90(pixels, rotation // 90) if rotation else pixels


def _has_byte_luma(pixel_format: Any) -> bool:
    name = pixel_format.name
    return name == "gray" or (name.startswith(_LUMA_FIRST) and pixel_format.components[0].bits == 8)


def _luma(frame: Any) -> np.ndarray:
    import cv2

    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    name = frame.format.name
    if name == "gray" or name.startswith("yuvj") or frame.color_range == _FULL_RANGE:
        return rows
    return cv2.LUT(rows, _stretch())


@cache
def _stretch() -> np.ndarray:
    """ITU-R BT.601, 2.5.3: luma 16 is black, 235 is white."""
    return np.clip(np.rint((np.arange(256) - 16.0) * 255 / 219), 0, 255).astype(np.uint8)
