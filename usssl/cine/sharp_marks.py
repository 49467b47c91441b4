"""Letters over a still image, told by their edges: what is drawn is sharper than what a probe can image.

Tissue is smooth over the width of a beam, several pixels, while a letter goes from paper to ink within one or two, in
whatever grey, colour, size or font. How well that tells depends on the image: tissue magnified by the scanner gives
letters away, that of a small, crisp frame hides them. So the search proves itself on each image: `search_is_sure`
writes letters of known contrast over it and looks whether each would have been found.

Limits, of both: letters that differ from the tissue by less than `PROBE_CONTRAST` grey levels, and letters that were
blurred by more than a pixel before the image was stored, are not vouched for.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

MARGIN = 3
"""Pixels at the border of the image that cannot be searched, as the border itself is sharp."""

BLACK, SOLID = 3, 25
"""Squares of so many pixels, no brighter than this, hold no letter; insets are cut out of the image by them."""

LEAST_BEND, BEND_OVER_TISSUE = 12, 4.0
"""Second difference of a sharp pixel, in grey levels, and how many times that of the tissue around it."""

MOST_BEND = 40
"""Sharper pixels count no more than this in what is taken for the tissue around."""

STRONG_BEND, STRONG_OVER_TISSUE = 60, 8.0
"""The same of a pixel that counts by itself: the rest of a letter that the border of the image cuts."""

TISSUE = (61, 61)
"""Window (width, height) over which tissue is measured."""

WINDOW = (31, 13)
LEAST_SHARE = 0.1
"""Share of sharp pixels in a window (width, height) that is taken for letters, twice that of rows or of columns,
whichever has fewer: layers of tissue are sharp in one direction alone. Tissue without letters seldom reaches 0.09."""

STRAIGHT = 64
"""Straight sharp edges of this many pixels are boxes and the borders of insets, no letters."""

SYMBOL, MOST_SYMBOLS, SPECK = (40, 26), 16, 3
"""(width, height) of the largest symbol, how many a frame may have, and the side of what is no sign at all."""

BESIDE, FAINT = 96, 2 / 3
"""How far beside symbols, in pixels, nothing may look like a letter, at this part of the share that letters have."""

WORD = 44
"""Width of the words that prove the search, in pixels."""

PROBE_CONTRAST = 50
SYMBOL_CONTRAST = 40
"""Contrast that must be searchable where symbols are told from words: a word's other letters could be fainter."""

LEAST_PROBES = 4
PROBES = ("Rae84", "MELIN", "3.7km", "doety")


def searched_part(frame: Image, within: Mask) -> Mask:
    """The pixels of an image in which letters can be searched for: all but its border and solid black with a border.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        within: bool `(H, W)`, the image.
    """
    brightest = frame if frame.ndim == 2 else frame.max(axis=2)
    black = cv2.morphologyEx((brightest <= BLACK).astype(np.uint8), cv2.MORPH_OPEN, np.ones((SOLID, SOLID), np.uint8))
    side = 2 * MARGIN + 1
    padded = np.pad((within & (black == 0)).astype(np.uint8), 1)
    return np.asarray(cv2.erode(padded, np.ones((side, side), np.uint8))[1:-1, 1:-1] > 0)


class Marks(NamedTuple):
    """What is drawn over an image.

    Attributes:
        blocks: bool `(H, W)`, around all of it; they may reach past the searched part.
        words: whether some of it may be text of which more could lie beside the blocks; else they are symbols.
    """

    blocks: Mask
    words: bool


def sharp_marks(frame: Image, within: Mask, known: Mask | None = None) -> Marks:
    """Finds what may be letters.

    A few small marks that stand alone, as calipers, ticks and arrows do, are symbols: nothing even faintly like
    a letter lies within `BESIDE` pixels of their blocks.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        within: bool `(H, W)`, where to look, from `searched_part`.
        known: bool `(H, W)`, marks that are known already and are not looked for.
    """
    sharp, share, strong = _sharp(frame, within, known)
    found = ((sharp & (share >= LEAST_SHARE)) | strong).astype(np.uint8)
    if not found.any():
        return Marks(np.zeros(within.shape, dtype=bool), words=False)
    width, height = WINDOW
    groups = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((height, width), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(groups, connectivity=8)
    extents = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    blocks = cv2.dilate(groups, np.ones((height, width), np.uint8))
    beside = cv2.dilate(blocks, np.ones((height, 2 * BESIDE + 1), np.uint8)) > blocks
    _, rest, _ = _sharp(frame, within, blocks > 0 if known is None else known | (blocks > 0))
    specks = (extents <= SPECK).all(axis=1)
    words = len(extents) > MOST_SYMBOLS or (
        not specks.all()
        and (
            bool((extents > SYMBOL).any())
            or float(rest[beside].max(initial=0)) >= FAINT * LEAST_SHARE
            or not search_is_sure(frame, within, SYMBOL_CONTRAST)
        )
    )
    return Marks(blocks > 0, words)


def search_is_sure(frame: Image, within: Mask, contrast: int = PROBE_CONTRAST) -> bool:
    """Whether `sharp_marks` would find small letters of a contrast, in grey levels, all over this image.

    Short antialiased words are written over it in a grid, lighter or darker than the tissue by turns; each has to be
    found.

    Args:
        frame: uint8 `(H, W)` or `(H, W, 3)`.
        within: bool `(H, W)`, from `searched_part`.
        contrast: of the letters.
    """
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    local = cv2.blur(grey, WINDOW).astype(np.int16)
    written = grey.astype(np.float32)
    height, width = WINDOW[1], WORD
    places = []
    for number, (x, y) in enumerate(_places(within)):
        letters = np.zeros((height, width), np.uint8)
        cv2.putText(letters, PROBES[number % len(PROBES)], (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1, cv2.LINE_AA)
        cover = letters.astype(np.float32) / 255
        area = np.s_[y : y + height, x : x + width]
        level = int(local[y + height // 2, x + width // 2])
        lighter = level < contrast or (number % 2 == 0 and level + contrast <= 255)
        ink = level + (contrast if lighter else -contrast)
        written[area] = written[area] * (1 - cover) + ink * cover
        places.append(area)
    if len(places) < LEAST_PROBES:
        return False
    _, share, _ = _sharp(np.clip(np.rint(written), 0, 255).astype(np.uint8), within)
    return all(float(share[area].max()) >= LEAST_SHARE for area in places)


def _places(within: Mask) -> list[tuple[int, int]]:
    """Upper left corners of windows that lie in the image, in a grid of about eight by eight."""
    width, height = WORD, WINDOW[1]
    fits = cv2.erode(np.pad(within.astype(np.uint8), 1), np.ones((height, width), np.uint8), anchor=(0, 0))[1:-1, 1:-1]
    rows, columns = np.flatnonzero(fits.any(axis=1)), np.flatnonzero(fits.any(axis=0))
    if not len(rows):
        return []
    down = max(height + 3, int(np.ptp(rows)) // 8)
    across = max(width + 6, int(np.ptp(columns)) // 8)
    grid = ((x, y) for y in range(rows[0], rows[-1] + 1, down) for x in range(columns[0], columns[-1] + 1, across))
    return [(int(x), int(y)) for x, y in grid if fits[y, x]]


def _sharp(frame: Image, within: Mask, known: Mask | None = None) -> tuple[Mask, npt.NDArray[np.float32], Mask]:
    """Pixels much sharper than the tissue around them, their share of the window around each, and the sharpest."""
    channels = [np.asarray(frame)] if frame.ndim == 2 else [np.asarray(channel) for channel in cv2.split(frame)]
    inside = within.astype(np.float32)
    weight = np.maximum(cv2.blur(inside, TISSUE), 1e-3)
    everything = np.zeros(within.shape, dtype=bool)
    strong = np.zeros(within.shape, dtype=bool)
    shares = []
    for axis in (0, 1):
        bend = np.maximum.reduce([_bend(channel, axis) for channel in channels])
        tissue = cv2.blur(np.minimum(bend, MOST_BEND).astype(np.float32) * inside, TISSUE) / weight
        sharp = ((bend > np.maximum(LEAST_BEND, BEND_OVER_TISSUE * tissue)) & within).astype(np.uint8)
        kernel, beside = np.ones((1, STRAIGHT), np.uint8), np.ones((7, 1), np.uint8)
        if axis == 1:
            kernel, beside = kernel.T, beside.T
        sharp &= 1 - cv2.dilate(cv2.morphologyEx(sharp, cv2.MORPH_OPEN, kernel), beside)
        if known is not None:
            sharp[known] = 0
        shares.append(cv2.blur(sharp.astype(np.float32), WINDOW))
        everything |= sharp > 0
        strong |= (sharp > 0) & (bend > np.maximum(STRONG_BEND, STRONG_OVER_TISSUE * tissue))
    return everything, 2 * np.minimum(*shares), strong


def _bend(channel: Image, axis: int) -> npt.NDArray[np.int16]:
    """The second difference along rows (1) or columns (0), absolute."""
    signed = np.moveaxis(channel.astype(np.int16), axis, 0)
    bend = np.zeros_like(signed)
    bend[1:-1] = np.abs(signed[:-2] - 2 * signed[1:-1] + signed[2:])
    return np.moveaxis(bend, 0, axis)
