"""Which pixels of a cine may stay when it is de-identified, and whether they are surely free of text."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from usssl.cine.sector_mask import Frames, Mask, Sector, drawn_over
from usssl.cine.sharp_marks import search_is_sure, searched_part, sharp_marks


@dataclass(frozen=True)
class CleanPixels:
    """What stays of the frames of a cine.

    Attributes:
        keep: bool `(H, W)`, pixels of the image over which no text was found; all others are to be made black.
        marks: bool `(H, W)`, text and marks found over the image.
        doubt: why text may remain among the pixels that are kept, or None where none was found.
        moves: whether the image moves, so that its text is told by standing still. What a search of sharp edges does
            not find may yet be faint text.
    """

    keep: Mask
    marks: Mask
    doubt: str | None
    moves: bool


def clean_pixels(frames: Frames, sector: Sector, every_frame: bool) -> CleanPixels:
    """Looks for text over the image, by its stillness where the image moves and by its sharp edges where it does not.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`, spread over the cine.
        sector: of these frames.
        every_frame: whether the cine has no others.
    """
    drawn, told = drawn_over(frames, sector.mask)
    if told:
        return CleanPixels(sector.mask & ~drawn, drawn, None, moves=True)
    part = np.all([searched_part(frame, sector.mask) for frame in frames], axis=0)
    if not all(search_is_sure(frame, part) for frame in frames):
        doubt = "nothing moves in it, so that text over the image cannot be told from tissue"
        return CleanPixels(sector.mask & ~drawn, drawn, doubt, moves=False)
    known = cv2.dilate(drawn.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    found = [sharp_marks(frame, part, known) for frame in frames]
    marks = np.any([known, *(one.blocks for one in found)], axis=0) & sector.mask
    reason = None
    if any(one.words for one in found):
        reason = "nothing moves in it, and marks that may be text lie over the image"
    elif sector.outline is None:
        reason = "nothing moves in it, and where its image ends is not clear"
    elif not every_frame:
        reason = "nothing moves in it, and not every frame was searched for text"
    return CleanPixels(part & ~marks, marks, reason, moves=False)
