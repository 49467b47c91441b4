"""What a scanner draws over the ultrasound image: text and marks that stand still while the image moves, and colour."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LEAST_MOTION = 1.5
LEAST_CONTRAST = 30
MOST_OF_IMAGE = 0.15
LIT_ABOVE = 24
COLOUR_ABOVE = 48


def static_overlay(frames: Frames, within: Mask) -> Mask | None:
    """Blocks of thin bright marks that stand still while the image moves: burned-in text, calipers, depth ticks.

    A mark is brighter than its surroundings by 30 grey levels within the width of a letter's stroke, and changes over
    time by less than 35 % of what the moving image does; marks that change by less than 60 % count beside one.
    Neighbouring marks are joined to blocks, so that no letter can be read from its black outline.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`, spread over the cine.
        within: bool `(H, W)`, the image.

    Returns:
        bool `(H, W)`; None where marks cannot be told from tissue: in a still, and where nothing moves or too much
        stands still.
    """
    motion = _motion(frames, within)
    if motion < LEAST_MOTION:
        return None
    letter = _letter(within)
    stroke, change = _stroke(frames, letter), _change(frames)
    marks = _still_marks(stroke, change, motion, within)
    if marks is None:
        return None
    near = cv2.dilate(marks, np.ones((letter, 2 * letter + 1), np.uint8))
    weak = (stroke >= LEAST_CONTRAST // 2) & (change <= max(1.5, 0.6 * motion)) & (near > 0) & within
    blocks = cv2.morphologyEx(marks | weak.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((letter, letter), np.uint8))
    return np.asarray(cv2.dilate(blocks, np.ones((5, 5), np.uint8)) > 0)


def image_moves(frames: Frames, within: Mask) -> bool:
    """Whether the image changes enough over time for `static_overlay` to see what does not."""
    return _motion(frames, within) >= LEAST_MOTION


def colour_overlay(frames: Frames, within: Mask) -> Mask:
    """Where colour lies over a grey image in any frame: Doppler, coloured traces and text.

    Tinted grey maps stay below the chroma of 48 that counts as colour, or colour the image almost throughout.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`.
        within: bool `(H, W)`, the image.

    Returns:
        bool `(H, W)`.
    """
    if frames.ndim == 3:
        return np.zeros(within.shape, dtype=bool)
    coloured = np.zeros(within.shape, np.uint8)
    lit = np.zeros(within.shape, dtype=bool)
    for frame in frames:
        red, green, blue = cv2.split(frame)  # a reduction over so short an axis takes numpy twenty times as long
        brightest = cv2.max(cv2.max(red, green), blue)
        coloured |= (cv2.subtract(brightest, cv2.min(cv2.min(red, green), blue)) > COLOUR_ABOVE).astype(np.uint8)
        lit |= brightest > LIT_ABOVE
    coloured &= within
    if coloured.sum() > 0.8 * (lit & within).sum():
        return np.zeros(within.shape, dtype=bool)
    # Chroma is stored at half resolution in most files: a pixel alone is noise, a patch bleeds by two pixels.
    patches = cv2.morphologyEx(coloured, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.dilate(patches, np.ones((5, 5), np.uint8)) > 0)


def _letter(within: Mask) -> int:
    """The width of a letter's surroundings, in pixels, odd."""
    return max(9, int(min(within.shape) * 0.025)) | 1


def _stroke(frames: Frames, letter: int) -> npt.NDArray[np.uint8]:
    """How much brighter each pixel of the mean frame is than its surroundings."""
    mean = _brightest(frames).mean(axis=0).round().astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (letter, letter))
    return np.asarray(cv2.morphologyEx(mean, cv2.MORPH_TOPHAT, disc))


def _still_marks(
    stroke: npt.NDArray[np.uint8], change: npt.NDArray[np.float32], motion: float, within: Mask
) -> npt.NDArray[np.uint8] | None:
    """Thin bright marks that stand still; None where so much stands still that it must be tissue."""
    marks = ((stroke >= LEAST_CONTRAST) & (change <= max(1.5, 0.35 * motion)) & within).astype(np.uint8)
    marks = _marks_not_layers(marks, _letter(within))
    return None if marks.sum() > MOST_OF_IMAGE * within.sum() else marks


def _brightest(frames: Frames) -> Frames:
    """The brightest channel of each pixel: uint8 `(n, H, W)`."""
    if frames.ndim == 3:
        return frames
    out = np.empty(frames.shape[:3], np.uint8)
    for frame, brightest in zip(frames, out, strict=True):
        red, green, blue = cv2.split(frame)
        cv2.max(cv2.max(red, green), blue, dst=brightest)
    return out


def _change(frames: Frames) -> npt.NDArray[np.float32]:
    """The mean absolute deviation over time of each pixel, the channel that changes most: `(H, W)`.

    A mean, since lossy video makes still pixels jump at key frames.
    """
    mean = frames.mean(axis=0, dtype=np.float32)
    deviation = sum(np.abs(frame - mean) for frame in frames) / np.float32(len(frames))
    return np.asarray(deviation if deviation.ndim == 2 else deviation.max(axis=2), dtype=np.float32)


def _motion(frames: Frames, within: Mask) -> float:
    """The median change over time of the lit pixels of the image, in grey levels; 0 for a still."""
    lit = within & (_brightest(frames).max(axis=0) > LIT_ABOVE)
    return float(np.median(_change(frames)[lit])) if len(frames) > 1 and lit.any() else 0.0


def _marks_not_layers(marks: npt.NDArray[np.uint8], letter: int) -> npt.NDArray[np.uint8]:
    """The connected parts but specks and long flat ones: fasciae and the near field stand still too."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    width, height, area = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    kept = (area > 3) & ~((width > 6 * letter) & (width > 4 * height))
    kept[0] = False
    return kept[labels].astype(np.uint8)
