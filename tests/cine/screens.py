"""Screens with a moving sector and text, for the tests of masks and de-identification."""

from __future__ import annotations

import cv2
import numpy as np

NAME = "VANDERBILT HORTENSE"


def moving_fan(frames: int = 12, height: int = 360, width: int = 480, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Speckle that changes in a fan on black, uint8 `(frames, height, width)`, and the fan, bool `(height, width)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    dx, dy = x - width / 2, y - 0.02 * height
    radius, angle = np.hypot(dx, dy), np.degrees(np.arctan2(dx, dy))
    fan = (np.abs(angle) < 36) & (radius > 0.15 * height) & (radius < 0.93 * height)
    out = np.zeros((frames, height, width), np.uint8)
    for frame in out:
        speckle = cv2.GaussianBlur(rng.gamma(2.0, 60.0, (height, width)), (0, 0), 1.2)
        frame[fan] = np.clip(speckle, 8, 220)[fan]
    return out, fan


def write(frames: np.ndarray, text: str, at: tuple[int, int], value: int | tuple[int, int, int] = 255) -> np.ndarray:
    """Burns text into every frame, in place; returns its pixels, bool `(height, width)`."""
    letters = np.zeros(frames.shape[1:3], np.uint8)
    cv2.putText(letters, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    frames[:, letters > 0] = value
    return letters > 0


def scanner_screen(frames: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(frames, fan, text): a moving fan with a name in a header bar, beside the fan and within it."""
    out, fan = moving_fan(frames, seed=seed)
    out[:, :24] = 60
    text = write(out, NAME + " 4711", (60, 17), 230)
    text |= write(out, "1931-02-28", (6, 80), 230)
    text |= write(out, NAME, (150, 210), 230)
    return out, fan, text


def letters_in(shown: np.ndarray, text: np.ndarray) -> float:
    """How much of the letters a small grey picture of a screen shows.

    Args:
        shown: uint8 `(h, w)`.
        text: bool `(H, W)`, the pixels of the text on the screen.

    Returns:
        Correlation, 0 … 1, of the picture with the letters, within the bands of each line of text.
    """
    letters = cv2.resize(text.astype(np.float32), shown.shape[::-1], interpolation=cv2.INTER_AREA)
    around = cv2.dilate((letters > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if shown[around].std() == 0:
        return 0.0
    return float(abs(np.corrcoef(letters[around], shown[around].astype(float))[0, 1]))
