"""Standard planes: defined by landmarks, found in an image by geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from usssl.phantom.poses import Frame, Pose, Vector, unit
from usssl.phantom.sector import Sector

PLANES = (
    "brain_transventricular",
    "brain_transcerebellar",
    "abdomen",
    "femur",
    "four_chamber",
)
"""The standard planes, by the names that labels use."""

BACKGROUND = "background"
"""The label of every other frame."""

_MARGIN_MM = 2.0


@dataclass(frozen=True)
class StandardPlane:
    """A plane that a sonographer looks for.

    Attributes:
        name: its label.
        landmarks: points that it must show, in the coordinates of the fetus.
        centre: middle of the landmarks.
        normal: normal of the plane through them.
        tolerance_mm: how far out of the image a landmark may lie.
    """

    name: str
    landmarks: Mapping[str, Vector]
    centre: Vector
    normal: Vector
    tolerance_mm: float

    def miss(self, pose: Pose, sector: Sector) -> float:
        """How far an image is from showing this plane: 1 is the limit, infinite where a landmark is outside the image.

        Args:
            pose: the image plane, in the coordinates of the fetus.
            sector: the image.
        """
        seen = pose.image_coordinates(np.stack(list(self.landmarks.values())))
        if not sector.shows(seen[:, 0], seen[:, 2], _MARGIN_MM).all():
            return float("inf")
        return float(np.abs(seen[:, 1]).max() / self.tolerance_mm)


def plane_through(name: str, landmarks: Mapping[str, Vector], tolerance_mm: float, vertical: Vector) -> StandardPlane:
    """The plane that fits landmarks best.

    Args:
        name: its label.
        landmarks: two points or more.
        tolerance_mm: how far out of the image a landmark may lie.
        vertical: direction into the mother; through two landmarks goes the plane that is closest to it.
    """
    points = np.stack(list(landmarks.values()))
    centre = points.mean(axis=0)
    if len(points) == 2:
        normal = unit(np.cross(points[1] - points[0], vertical))
    else:
        normal = np.linalg.svd(points - centre)[2][2]
    return StandardPlane(name, dict(landmarks), centre, normal, tolerance_mm)


def label(planes: Sequence[StandardPlane], pose: Pose, fetus: Frame, sector: Sector) -> str:
    """The standard plane that an image shows, or background.

    Args:
        planes: the standard planes of the fetus.
        pose: the image plane, in outer space.
        fetus: where the fetus lies in outer space.
        sector: the image.
    """
    seen = pose.seen_from(fetus)
    misses = [plane.miss(seen, sector) for plane in planes]
    best = int(np.argmin(misses))
    return planes[best].name if misses[best] <= 1.0 else BACKGROUND
