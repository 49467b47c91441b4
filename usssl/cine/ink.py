"""Text over the image told by its ink: the scanner writes there in the colours that it writes in beside the image.

This needs one frame only, so it is what finds text in stills. In frames stored without loss a letter has exactly the
ink's colour and nothing else does; in lossy ones only rows of letters are trusted, and much is missed.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

BRIGHT = 96
LOSSY_BRIGHT = 160
LEAST_CONTRAST = 40
LOSSY_TOLERANCE = 20
LETTERS_IN_A_ROW = 3


def ink_overlay(frame: npt.NDArray[np.uint8], within: Mask) -> Mask:
    """Blocks of text over the image, in the ink of the text beside it.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        within: bool `(H, W)`, the image.

    Returns:
        bool `(H, W)`; nothing where no text stands beside the image.
    """
    colours = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)
    outside = cv2.dilate(within.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    inks, exact = _inks(colours[outside])
    letter = max(9, int(min(within.shape) * 0.025)) | 1
    tolerance = 0 if exact else LOSSY_TOLERANCE
    inked = np.zeros(within.shape, np.uint8)
    for ink in inks:
        inked |= cv2.inRange(colours, np.maximum(ink - tolerance, 0), np.minimum(ink + tolerance, 255))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (letter, letter))
    stroke = cv2.morphologyEx(_brightest(colours), cv2.MORPH_TOPHAT, disc)
    letters = _letters((inked > 0) & within & (stroke >= LEAST_CONTRAST), letter, exact)
    blocks = cv2.morphologyEx(letters, cv2.MORPH_CLOSE, np.ones((letter, letter), np.uint8))
    return np.asarray(cv2.dilate(blocks, np.ones((5, 5), np.uint8)) > 0)


def _brightest(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    red, green, blue = cv2.split(colours)
    return np.asarray(np.maximum(np.maximum(red, green), blue))


def _inks(pixels: npt.NDArray[np.uint8]) -> tuple[list[npt.NDArray[np.int16]], bool]:
    """The colours of what is written beside the image, and whether they are exact.

    Inks are the colours that each make up a twentieth of the bright pixels, if together they are a third of them;
    else the file is lossy, and the ink is the grey around which most bright pixels lie.
    """
    bright = pixels[(pixels >= BRIGHT).any(axis=1)].astype(np.int16)
    if len(bright) < 50:
        return [], True
    colours, counts = np.unique(bright, axis=0, return_counts=True)
    frequent = counts >= max(30, 0.05 * len(bright))
    if counts[frequent].sum() >= 0.35 * len(bright):
        return list(colours[frequent]), True
    levels = np.convolve(np.bincount(bright.max(axis=1), minlength=256), np.ones(17), mode="same")
    grey = int(levels.argmax())
    return ([np.full(3, grey, np.int16)] if grey >= LOSSY_BRIGHT else []), False


def _letters(inked: Mask, letter: int, exact: bool) -> npt.NDArray[np.uint8]:
    """The connected parts of the size of letters, in exact ink also of words; in lossy files only rows of them."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inked.astype(np.uint8), connectivity=8)
    width, height, area = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    kept = (area >= 6) & (height >= 5) & (height <= 2 * letter) & (width <= (12 if exact else 2.5) * letter)
    kept[0] = False
    letters = kept[labels].astype(np.uint8)
    if exact:
        return letters
    _, rows = cv2.connectedComponents(cv2.dilate(letters, np.ones((1, letter), np.uint8)), connectivity=8)
    pairs = np.unique(np.stack([rows[letters > 0], labels[letters > 0]]), axis=1)
    long = np.bincount(pairs[0], minlength=int(rows.max()) + 1) >= LETTERS_IN_A_ROW
    return letters * long[rows]
