"""Which pixels of a frame are ultrasound: the sector, without the scanner's screen around it and what is drawn over it.

Where the file calibrates B-mode regions and they can be trusted, the sector lies within them. The rest is seen from the
image: what is lit and thick is the image (letters, rulers and traces are thin), bars of the user interface are rows
near the top or bottom that are flat over long stretches. To what is left a fan, a trapezoid or a rectangle is fitted
(`usssl.cine.outline`); where none fits, the sector is its convex outline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from usssl.cine.cine import Cine
from usssl.cine.facts import Region
from usssl.cine.ink import ink_overlay
from usssl.cine.outline import Outline, fit_outline
from usssl.cine.overlays import colour_overlay, static_overlay
from usssl.cine.sector import LIT_ABOVE as LIT_IN_MEAN
from usssl.cine.sector import Box, content_box
from usssl.cine.sharp_marks import search_is_sure, searched_part, sharp_marks
from usssl.cine.thin_lines import thin_lines

Frames = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SAMPLED_FRAMES = 24
LIT_ABOVE = 2
LEAST_SHARE = 0.03
STILL_FRAMES, STILL_CHANGE = 4, 4
"""What changes by no more than so many grey levels over so many frames or more, while the rest moves, may be screen."""
LEAST_SUPPORT_OF_MOVING = 0.75
_IMAGE_KINDS = ("b_mode", "color_flow")
_TRACE_KINDS = ("ecg", "pulse", "phonocardiogram", "gray_bar", "color_bar")


def sector_mask(cine: Cine) -> Mask:
    """The pixels to learn from: the sector without colour overlays, physiological traces and burned-in text.

    Args:
        cine: any cine; up to 24 frames of it are decoded.

    Returns:
        bool `(H, W)`; all True where no image is found.
    """
    frames = sampled_frames(cine)
    found = image_mask(frames, cine.regions)
    if found is None:
        return np.ones(frames.shape[1:3], dtype=bool)
    for region in cine.regions:
        if region.kind in _TRACE_KINDS and region.inside:
            x0, y0, x1, y1 = region.box
            found[y0:y1, x0:x1] = False
    drawn, told = drawn_over(frames, found)
    if not told:
        drawn |= _sharp_in_still(frames[len(frames) // 2], found, drawn)
    return found & ~drawn & ~colour_overlay(frames, found)


@dataclass(frozen=True)
class Sector:
    """Where the ultrasound image lies in a frame.

    Attributes:
        mask: bool `(H, W)`, its pixels.
        outline: the shape that was fitted; None where none fits, and the mask is the convex outline of what is lit.
        lit: bool `(H, W)`, the lit and thick parts that the outline was fitted to.
    """

    mask: Mask
    outline: Outline | None
    lit: Mask


def image_mask(frames: Frames, regions: Iterable[Region] = ()) -> Mask | None:
    """The pixels of the ultrasound image within the frame; see `find_sector`."""
    found = find_sector(frames, regions)
    return None if found is None else found.mask


def find_sector(frames: Frames, regions: Iterable[Region] = ()) -> Sector | None:
    """Finds the ultrasound image within the frame: a fan, a trapezoid or a rectangle, else what is lit and thick.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`, from all over the cine.
        regions: the file's calibrated regions.

    Returns:
        The sector, or None where no image is found.
    """
    grey = to_grey(frames)
    height, width = grey.shape[1:]
    allowed = _region_mask(regions, height, width) & ~_interface_bars(grey)
    box = _box(grey)
    parts = _image_parts(_lit_body(grey, allowed), box) & allowed
    outline = fit_outline(parts)
    if (outline is None or not outline.slanted) and (moving := _moving(grey, parts)) is not None:
        # A grey screen, or text beside the image that small frames blur into it. A still fascia may be lost with them.
        moved = _image_parts(_lit_body(grey, allowed & moving), box) & allowed
        other = fit_outline(moved)
        if other is not None and other.slanted and other.support >= LEAST_SUPPORT_OF_MOVING:
            parts, outline = moved, other
    if not parts.any():
        return None
    mask = (_convex(parts) if outline is None else outline.mask(height, width)) & allowed
    return Sector(mask, outline, parts) if mask.sum() >= LEAST_SHARE * mask.size else None


def drawn_over(frames: Frames, image: Mask) -> tuple[Mask, bool]:
    """Text and marks over the image: those that stand still while it moves, and those in the ink of the text beside it.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`, spread over the cine.
        image: bool `(H, W)`, from `image_mask`.

    Returns:
        (bool `(H, W)`, within the image; whether stillness told them: False in a still, and where nothing moves).
    """
    still = static_overlay(frames, image)
    drawn = np.zeros(image.shape, dtype=bool) if still is None else still
    for index in np.unique([0, len(frames) // 2, len(frames) - 1]):
        drawn |= ink_overlay(frames[index], image)
    return drawn & image, still is not None


def _sharp_in_still(frame: npt.NDArray[np.uint8], image: Mask, known: Mask) -> Mask:
    """Thin lines, and what is sharper than tissue where the search for it is sure: letters, calipers, ticks.

    Where that search is not sure, it would take crisp tissue for letters.
    """
    part = searched_part(frame, image)
    lines = thin_lines(frame, part)
    return lines | sharp_marks(frame, part, known).blocks if search_is_sure(frame, part) else lines


def mask_outside(frames: Frames, keep: Mask) -> Frames:
    """A copy of the frames that is black where `keep` is False.

    Args:
        frames: uint8 `(n, H, W)` or `(n, H, W, 3)`.
        keep: bool `(H, W)`.
    """
    return frames * (keep[None] if frames.ndim == 3 else keep[None, :, :, None])


def sampled_frames(cine: Cine, most: int = SAMPLED_FRAMES) -> Frames:
    """Up to `most` frames spread over the whole cine, first and last among them, in the cine's own colour."""
    count = min(len(cine), most)
    return cine.read(np.unique(np.linspace(0, len(cine) - 1, count).round().astype(np.int64)))


def to_grey(frames: Frames) -> Frames:
    """ITU-R 601 luma, rounded, of RGB frames; grey frames as they are."""
    if frames.ndim == 3:
        return frames
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def _region_mask(regions: Iterable[Region], height: int, width: int) -> Mask:
    """Where trusted image regions allow the sector to be; everywhere if there are none.

    A box that covers the whole frame says nothing, and one that reached past it speaks of another image.
    """
    allowed = np.zeros((height, width), dtype=bool)
    for region in regions:
        x0, y0, x1, y1 = region.box
        if region.kind in _IMAGE_KINDS and region.inside and (x1 - x0) * (y1 - y0) > LEAST_SHARE * allowed.size:
            allowed[y0:y1, x0:x1] = True
    return allowed if allowed.any() else ~allowed


def _interface_bars(grey: Frames) -> Mask:
    """Rows near the top or bottom that are flat along much of the frame and hardly change: bars with text on them."""
    time, height, width = grey.shape
    rows = np.zeros(height, dtype=bool)
    for frame in grey[np.unique([0, time // 2, time - 1])]:
        flat = np.zeros((height, width), np.uint8)
        flat[:, 1:] = (np.abs(np.diff(frame.astype(np.int16), axis=1)) <= 1) & (frame[:, 1:] > 16)
        runs = cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((1, max(9, width // 16)), np.uint8))
        rows |= runs.sum(axis=1) >= 0.3 * width
    if time > 1:
        changing = grey.max(axis=0).astype(np.int16) - grey.min(axis=0) > 6
        rows &= changing.mean(axis=1) < 0.05
    rows[int(height * 0.15) : int(height * 0.85)] = False
    gap = np.ones((max(3, height // 25), 1), np.uint8)
    joined = cv2.morphologyEx(rows.astype(np.uint8)[:, None], cv2.MORPH_CLOSE, gap)
    return np.broadcast_to(joined > 0, (height, width))


def _moving(grey: Frames, parts: Mask) -> Mask | None:
    """Pixels around which something changes over time; None where less than a quarter of the parts does clearly."""
    if len(grey) < STILL_FRAMES or not parts.any():
        return None
    change = grey.max(axis=0) - grey.min(axis=0)
    if np.percentile(change[parts], 75) < 3 * STILL_CHANGE:
        return None
    side = max(3, int(min(parts.shape) * 0.012)) | 1
    return np.asarray(cv2.blur(change.astype(np.float32), (side, side)) > STILL_CHANGE)


def _convex(parts: Mask) -> Mask:
    """The convex outline of some pixels."""
    edges, _ = cv2.findContours(parts.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = np.zeros(parts.shape, np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.concatenate(edges)), 1)
    return np.asarray(outline > 0)


def _lit_body(grey: Frames, allowed: Mask) -> npt.NDArray[np.uint8]:
    """Pixels whose neighbourhood is mostly lit: letters fall below that, speckle does not. uint8 0 or 1 `(H, W)`."""
    lit = (grey.sum(axis=0, dtype=np.int64) > LIT_ABOVE * len(grey)) & allowed
    side = max(3, int(min(lit.shape) * 0.012)) | 1
    share = cv2.blur(lit.astype(np.float32), (side, side), borderType=cv2.BORDER_REPLICATE)
    return (share > 0.55).astype(np.uint8)


def _box(grey: Frames) -> Box:
    """The box of the image by `content_box`, which looks at what is lit in the mean: one frame of that is quicker."""
    lit = grey.sum(axis=0, dtype=np.int64) > LIT_IN_MEAN * len(grey)
    return content_box(np.where(lit, np.uint8(255), np.uint8(0))[None])


def _image_parts(body: npt.NDArray[np.uint8], box: Box) -> Mask:
    """The thick parts of the body that belong to the image: the largest, and others at least a 40th of it."""
    height, width = body.shape
    side = max(3, int(min(height, width) * 0.03))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side | 1, side | 1))
    padded = cv2.copyMakeBorder(body, side, side, side, side, cv2.BORDER_REPLICATE)
    thick = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[side:-side, side:-side]
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for _ in range(max(1, side // 4)):  # the corners that the disc did not fit into
        thick = cv2.dilate(thick, cross) & body
    count, labels, stats, _ = cv2.connectedComponentsWithStats(thick, connectivity=4)
    inside = np.bincount(labels[box.y0 : box.y1, box.x0 : box.x1].ravel(), minlength=count)
    kept = [label for label in range(1, count) if 2 * inside[label] > stats[label, cv2.CC_STAT_AREA]]
    kept = [label for label in kept if not _is_bar(stats[label], height, width)]
    largest = max((int(stats[label, cv2.CC_STAT_AREA]) for label in kept), default=0)
    return np.isin(labels, [label for label in kept if 40 * int(stats[label, cv2.CC_STAT_AREA]) >= largest])


def _is_bar(stats: npt.NDArray[np.int32], height: int, width: int) -> bool:
    """A part as wide as the frame, low, at its top or bottom."""
    _, y, part_width, part_height = stats[:4]
    return bool(part_width > 0.8 * width and part_height < 0.15 * height and (y == 0 or y + part_height == height))
