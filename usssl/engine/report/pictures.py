"""Frames for the page: thumbnails, and saliency laid over a frame, as data URIs."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from usssl.engine.report.content import Frame, Map, SaliencyExample

_WIDTH = 360  # pixels: sharp at the size that the page shows on a screen of double density, small in bytes
_QUALITY = 85
_STRONGEST = 0.75  # opacity of the overlay at the map's maximum


def thumbnail(frame: Frame) -> str:
    """A frame as a JPEG data URI, at most 360 pixels wide."""
    return _as_uri(_fit(_as_rgb(frame)))


def saliency_pictures(example: SaliencyExample) -> list[tuple[str, str]]:
    """The example as captioned data URIs: frame, recorded map, predicted map; gaze points are white rings."""
    frame = _fit(_as_rgb(example.frame))
    scale = frame.shape[1] / example.frame.shape[1]
    pictures = [("Frame", _as_uri(frame))]
    for caption, values in (("Recorded gaze", example.truth), ("Predicted", example.predicted)):
        if values is not None:
            pictures.append((caption, _as_uri(_ring(overlay(frame, values), example.fixations, scale))))
    if example.truth is None and example.fixations is not None:
        pictures.insert(1, ("Recorded gaze", _as_uri(_ring(frame, example.fixations, scale))))
    return pictures


def overlay(frame: Frame, values: Map) -> Frame:
    """Lays a map over a frame: the stronger, the brighter and the more opaque.

    Args:
        frame: `(H, W, 3)` uint8.
        values: `(h, w)`, not negative; stretched to the frame.

    Returns:
        `(H, W, 3)` uint8.
    """
    height, width = frame.shape[:2]
    strength = np.nan_to_num(np.asarray(values, dtype=np.float32))
    strength = cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR)
    strength = strength / max(float(strength.max()), np.finfo(np.float32).tiny)
    colours = colormaps["inferno"](0.25 + 0.75 * strength)[..., :3] * 255
    opacity = _STRONGEST * np.clip(strength, 0, 1)[..., None] ** 0.7
    return np.asarray((1 - opacity) * frame + opacity * colours + 0.5, dtype=np.uint8)


def _ring(frame: Frame, points: NDArray[np.floating] | None, scale: float) -> Frame:
    drawn = frame.copy()
    for row, column in points if points is not None else ():
        centre = (round(float(column) * scale), round(float(row) * scale))
        cv2.circle(drawn, centre, 7, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.circle(drawn, centre, 5, (255, 255, 255), 2, cv2.LINE_AA)
    return drawn


def _as_rgb(frame: Frame) -> Frame:
    return np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame


def _fit(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    if width <= _WIDTH:
        return frame
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _as_uri(rgb: Frame) -> str:
    _, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
