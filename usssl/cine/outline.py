"""The shape of an ultrasound image: what a probe can show, fitted to the pixels that are lit.

A curved or a phased array shows a fan: two straight sides that meet in an apex, and two arcs about it, the near one the
face of the probe. A linear array shows a rectangle, or a trapezoid where its beams are steered outwards. Scanners and
those who crop cut any of them by an upright rectangle. So one shape tells all: an upright box, less what lies beyond
the sides, within the near arc or beyond the far one, each only where the lit pixels bear it out. What the convex
outline of the lit pixels takes for image beside a curved face is then left out, and what it cuts off where tissue is
dark comes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Kind = Literal["fan", "trapezoid", "rectangle"]

TOLERANCE = 0.008
"""How far from an edge its points may lie, in shares of the image's mean side; one pixel at least."""

LEAST_TILT, MOST_TILT = 4.0, 75.0
"""Degrees from the vertical of a side; less is upright, and more is no side of a fan."""

LEAST_LENGTH = 0.12
"""Of a side that is borne out, in shares of the image's mean side."""

LEAST_SUPPORT = 0.5
"""Share of an edge along which there must be points of the image's border."""

ANGLES = 48
LEAST_RECALL = 0.985
LEAST_LIT = 0.45
LEAST_BORNE_OUT = 0.45
"""Support of an outline with both its sides; an upright one, or one with a single side, needs `LEAST_UPRIGHT`."""
LEAST_UPRIGHT = 0.8


class Side(NamedTuple):
    """A straight side: points with `normal · (x, y) <= offset` are inside.

    Attributes:
        x: of the unit normal that points out of the image.
        y: of the unit normal.
        offset: pixels.
        support: share of its length along which the image's border was found, 0 … 1.
    """

    x: float
    y: float
    offset: float
    support: float


@dataclass(frozen=True)
class Outline:
    """The outline of an ultrasound image, in pixels of the frame.

    Attributes:
        kind: `fan`, `trapezoid` or `rectangle`.
        box: (x0, y0, x1, y1), half open: what cuts it upright.
        left: its slanted left side, if it has one.
        right: its slanted right side.
        apex: (x, y) where the sides meet, the centre of the arcs; None for a rectangle.
        near: radius of the near arc; 0 where none was found.
        far: radius of the far arc; infinite where none was found.
        residual: root mean square distance of the border's points from the nearest edge of the outline, in shares of
            the image's mean side; of the points that are near one.
        support: share of the outline along which the lit pixels' border lies, 0 … 1.
    """

    kind: Kind
    box: tuple[float, float, float, float]
    left: Side | None
    right: Side | None
    apex: tuple[float, float] | None
    near: float
    far: float
    residual: float = 0.0
    support: float = 0.0

    @property
    def slanted(self) -> bool:
        """Whether it has both sides of a fan, which no screen has."""
        return self.left is not None and self.right is not None

    def mask(self, height: int, width: int, margin: float = 0.0) -> Mask:
        """The pixels whose centres lie inside by at least `margin` pixels: bool `(height, width)`."""
        x = np.arange(width, dtype=np.float32)[None]
        y = np.arange(height, dtype=np.float32)[:, None]
        x0, y0, x1, y1 = self.box
        inside = (x >= x0 + margin) & (x < x1 - margin) & (y >= y0 + margin) & (y < y1 - margin)
        for side in (self.left, self.right):
            if side is not None:
                inside &= side.x * x + side.y * y <= side.offset - margin
        if self.apex is not None and (self.near > 0 or np.isfinite(self.far)):
            squared = np.square(x - np.float32(self.apex[0])) + np.square(y - np.float32(self.apex[1]))
            inside &= (squared >= (self.near + margin if self.near else 0.0) ** 2) & (
                squared <= max(self.far - margin, 0.0) ** 2
            )
        return np.asarray(inside)


def fit_outline(image: Mask) -> Outline | None:
    """Fits an outline to the pixels known to be image.

    Args:
        image: bool `(height, width)`: lit and thick parts; tissue that is dark may be missing.

    Returns:
        The outline; None where no shape fits: it would leave out more than 1.5 % of the image's pixels, or be more
        than half dark.
    """
    edges, _ = cv2.findContours(image.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not edges:
        return None
    hull = cv2.convexHull(np.concatenate(edges))[:, 0]
    border = np.concatenate(edges)[:, 0].astype(np.float64)
    x0, y0 = border.min(axis=0)
    x1, y1 = border.max(axis=0)
    scale = (x1 - x0 + y1 - y0) / 2
    if min(x1 - x0, y1 - y0) < 8:
        return None
    tolerance = max(1.0, TOLERANCE * scale)
    left = _side(hull, border, scale, tolerance, -1)
    right = _side(hull, border, scale, tolerance, 1)
    box = (x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5)
    found = Outline("rectangle" if left is None and right is None else "trapezoid", box, left, right, None, 0.0, np.inf)
    if left is None or right is None:
        return _checked(found, image, border, scale, tolerance)
    fan = _with_arcs(found, border, tolerance)
    for near, far in ((fan.near, fan.far), (0.0, fan.far), (fan.near, np.inf), (0.0, np.inf)):
        kind: Kind = "fan" if near > 0 or np.isfinite(far) else "trapezoid"
        checked = _checked(replace(fan, kind=kind, near=near, far=far), image, border, scale, tolerance)
        if checked is not None:
            return checked
    return None


def _side(hull: npt.NDArray[np.int32], border: Points, scale: float, tolerance: float, sign: int) -> Side | None:
    """The left (-1) or right (1) side of a fan: the edge of the convex hull along which most of the border lies."""
    best: Side | None = None
    longest = LEAST_LENGTH * scale
    middle = hull.mean(axis=0)
    for epsilon in (0.004, 0.012):
        corners = cv2.approxPolyDP(hull, epsilon * scale, closed=True)[:, 0].astype(np.float64)
        ends = np.roll(corners, -1, axis=0)
        lengths = np.hypot(*(ends - corners).T)
        for index in np.flatnonzero(lengths > longest):
            normal = _outwards((ends[index] - corners[index]) / lengths[index], sign)
            if not _tilted(normal) or (middle - corners[index]) @ normal > 0:
                continue
            side = _fitted(corners[index], ends[index], border, tolerance, sign)
            if side is None or side.support < LEAST_SUPPORT:
                continue
            if side.support * lengths[index] > longest:
                best, longest = side, side.support * float(lengths[index])
    return best


def _fitted(start: Points, end: Points, border: Points, tolerance: float, sign: int) -> Side | None:
    """A side fitted to the border's points along an edge of the hull; None where it has not a side's tilt."""
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    normal = _outwards(along, sign)
    for _ in range(2):
        offset = border - start
        place = offset @ along
        near = (np.abs(offset @ normal) <= 1.5 * tolerance) & (place >= 0) & (place <= length)
        points = border[near]
        if len(points) < 6:
            return None
        start = points.mean(axis=0)
        (xx, xy), (_, yy) = np.cov((points - start).T)
        turn = np.arctan2(2 * xy, xx - yy) / 2  # of the first principal axis
        along = np.array([np.cos(turn), np.sin(turn)])
        normal = _outwards(along, sign)
        place = (points - start) @ along
        start, length = start + along * place.min(), float(np.ptp(place))
    if not _tilted(normal):
        return None
    place = (points - start) @ along
    bins = max(6, min(48, int(length / 2)))
    filled = np.unique(np.minimum(place / max(length, 1e-9) * bins, bins - 1).astype(np.int64)).size / bins
    return Side(float(normal[0]), float(normal[1]), float(np.quantile(points @ normal, 0.9)), filled)


def _outwards(along: Points, sign: int) -> Points:
    normal = np.array([along[1], -along[0]])
    return normal if normal[0] * sign > 0 else -normal


def _tilted(normal: Points) -> bool:
    """Whether a side with this outward normal opens downwards, by the angles that fans have."""
    tilt = math.degrees(math.atan2(-normal[1], abs(normal[0])))
    return LEAST_TILT <= tilt <= MOST_TILT


def _with_arcs(found: Outline, border: Points, tolerance: float) -> Outline:
    """The arcs about the apex in which the sides meet."""
    left, right = found.left, found.right
    assert left is not None
    assert right is not None
    apex = np.linalg.solve([[left.x, left.y], [right.x, right.y]], [left.offset, right.offset])
    x0, y0, x1, y1 = found.box
    offset = border - apex
    radius, angle = np.hypot(*offset.T), np.arctan2(offset[:, 0], offset[:, 1])
    first, last = _direction(left, -1), _direction(right, 1)
    span = last - first
    if not 0.05 < span < np.pi:
        return found
    place = np.floor((angle - first) / span * ANGLES).astype(np.int64)
    within = (place >= 0) & (place < ANGLES)
    nearest, farthest = np.full(ANGLES, np.inf), np.zeros(ANGLES)
    np.minimum.at(nearest, place[within], radius[within])
    np.maximum.at(farthest, place[within], radius[within])
    centres = first + (np.arange(ANGLES) + 0.5) / ANGLES * span
    down, across = np.cos(centres), np.sin(centres)
    # Where the box cuts a ray: what ends there says nothing on the arc.
    top = (y0 - apex[1]) / np.maximum(down, 1e-6)
    bottom = (y1 - apex[1]) / np.maximum(down, 1e-6)
    beside = np.where(across < 0, (x0 - apex[0]) / np.minimum(across, -1e-6), (x1 - apex[0]) / np.maximum(across, 1e-6))
    slack = 2 * tolerance
    far = _arc(farthest, farthest < np.minimum(bottom, beside) - slack, tolerance, 1)
    near = _arc(nearest, nearest > top + slack, tolerance, -1)
    return replace(
        found,
        apex=(float(apex[0]), float(apex[1])),
        near=0.0 if near is None else max(0.0, near),
        far=np.inf if far is None else far,
    )


def _direction(side: Side, sign: int) -> float:
    """The angle of a side from straight down, positive to the right."""
    return sign * float(np.arctan2(-side.y, abs(side.x)))


def _arc(radii: Points, free: Mask, tolerance: float, sign: int) -> float | None:
    """The radius that most rays end at, of those which few end beyond; where none stands out, one that holds all.

    Args:
        radii: where the image ends on each ray.
        free: whether the ray ends there by itself and is not cut by the box.
        tolerance: pixels.
        sign: 1 for the far arc, -1 for the near one.
    """
    ends = radii[free & np.isfinite(radii) & (radii > 0)]
    if len(ends) < ANGLES // 8:
        return None
    outermost = np.sort(sign * ends)
    beyond = outermost[-1 - len(outermost) // 32]
    candidates = outermost[outermost >= beyond - 6 * tolerance]
    counts = [(np.abs(outermost - candidate) <= tolerance).sum() for candidate in candidates]
    best = candidates[int(np.argmax(counts))]
    if max(counts) < len(ends) / 4:
        return float(sign * outermost[-1])
    close = outermost[np.abs(outermost - best) <= tolerance]
    return float(sign * np.quantile(close, 0.75))


def _checked(found: Outline, image: Mask, border: Points, scale: float, tolerance: float) -> Outline | None:
    """The outline with its residual and support; None where it does not fit the image."""
    mask = found.mask(*image.shape)
    held = int((mask & image).sum())
    if held < LEAST_RECALL * image.sum() or held < LEAST_LIT * mask.sum():
        return None
    drawn, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not drawn:
        return None
    edge = np.ones(image.shape, np.uint8)
    points = np.concatenate(drawn)[:, 0]
    edge[points[:, 1], points[:, 0]] = 0
    distance = cv2.distanceTransform(edge, cv2.DIST_L2, 5)
    away = distance[border[:, 1].astype(int), border[:, 0].astype(int)]
    close = away <= 3 * tolerance
    residual = float(np.sqrt(np.square(away[close]).mean())) / scale if close.any() else np.inf
    lit_edge = np.ones(image.shape, np.uint8)
    lit_edge[border[:, 1].astype(int), border[:, 0].astype(int)] = 0
    reach = cv2.distanceTransform(lit_edge, cv2.DIST_L2, 5)[points[:, 1], points[:, 0]]
    support = float((reach <= 2 * tolerance).mean())
    needed = LEAST_UPRIGHT if found.left is None or found.right is None else LEAST_BORNE_OUT
    return replace(found, residual=residual, support=support) if support >= needed else None
