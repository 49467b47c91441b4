"""Thin straight lines over a still image: the sides of colour boxes and measuring frames.

A side is one or two pixels wide, upright or level to the pixel, and brighter than what is beside it all along. Layers
of tissue are thicker, as a beam is, or bend. Letters are shorter; `usssl.cine.sharp_marks` finds those.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

LEAST_CONTRAST, MEAN_CONTRAST = 20, 40
"""Grey levels by which each pixel of a line, and their mean, is brighter than the pixels beside the line."""

MOST_CONTRAST = 120
"""More than this counts no more in the mean, so that a few bright pixels do not make up for the others."""

LEAST_LENGTH, LENGTH_OF_IMAGE = 32, 1 / 8
"""Of a line, in pixels, and as a part of the frame's shorter side; the larger counts."""

UNBROKEN = 0.95
"""Part of a line's pixels that have to be seen."""


def thin_lines(frame: npt.NDArray[np.uint8], within: Mask) -> Mask:
    """The lines and the pixels next to them.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        within: bool `(H, W)`, where to look.

    Returns:
        bool `(H, W)`.
    """
    brightest = frame if frame.ndim == 2 else frame.max(axis=2)
    return _level(brightest, within) | _level(brightest.T, within.T).T


def _level(grey: npt.NDArray[np.uint8], within: Mask) -> Mask:
    """Lines along the rows."""
    length = max(LEAST_LENGTH, int(LENGTH_OF_IMAGE * min(grey.shape))) | 1
    contrast = cv2.morphologyEx(np.ascontiguousarray(grey), cv2.MORPH_TOPHAT, np.ones((3, 1), np.uint8))
    contrast[(contrast < LEAST_CONTRAST) | ~within] = 0
    seen = cv2.blur((contrast > 0).astype(np.float32), (length, 1), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(np.minimum(contrast, MOST_CONTRAST).astype(np.float32), (length, 1), borderType=cv2.BORDER_CONSTANT)
    middles = ((seen >= UNBROKEN) & (mean >= MEAN_CONTRAST)).astype(np.uint8)
    # A corner, up to two pixels wide, has no contrast to the other side that starts there.
    return np.asarray(cv2.dilate(middles, np.ones((3, length + 4), np.uint8)) > 0)
