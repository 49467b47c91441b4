"""Where an image plane lies in space: poses of the probe, and the ways between two of them.

Space is the mother's: millimetres, x and y along her skin, z into the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""Three millimetres, or a direction."""

Matrix = NDArray[np.float64]
"""A rotation, 3 × 3; its columns are the axes."""


def unit(vector: Vector) -> Vector:
    """The direction of a vector."""
    return vector / np.linalg.norm(vector)


def rotation(degrees: Vector | tuple[float, float, float]) -> Matrix:
    """The rotation about the direction of `degrees` by its length (in degrees)."""
    matrix, _ = cv2.Rodrigues(np.radians(np.asarray(degrees, np.float64)).reshape(3, 1))
    return np.asarray(matrix, np.float64)


def rotation_between(start: Matrix, end: Matrix) -> Vector:
    """The rotation vector, in degrees, that turns `start` into `end`, in the axes of `start`."""
    vector, _ = cv2.Rodrigues(start.T @ end)
    return np.degrees(np.asarray(vector, np.float64).ravel())


@dataclass(frozen=True)
class Frame:
    """A rigid placement of a body: `axes` are its own axes as columns, `origin` its own origin, both in outer space."""

    axes: Matrix
    origin: Vector

    def outer(self, points: Vector) -> Vector:
        """Points of the body, `(..., 3)`, in outer space."""
        return points @ self.axes.T + self.origin

    def inner(self, points: Vector) -> Vector:
        """Points of outer space, `(..., 3)`, in the body's own coordinates."""
        return (points - self.origin) @ self.axes

    def within(self, outer: Frame) -> Frame:
        """This placement seen from one level further out."""
        return Frame(outer.axes @ self.axes, outer.outer(self.origin))


@dataclass(frozen=True)
class Pose:
    """Where the probe is: the middle of its face and the axes of its image.

    Attributes:
        origin: the middle of the probe's face, in millimetres.
        axes: columns are the lateral axis (to the right of the image), the elevation axis (out of the image) and the
            axial axis (into the body).
    """

    origin: Vector
    axes: Matrix

    @property
    def lateral(self) -> Vector:
        """Direction to the right of the image."""
        return self.axes[:, 0]

    @property
    def elevation(self) -> Vector:
        """Normal of the image."""
        return self.axes[:, 1]

    @property
    def axial(self) -> Vector:
        """Direction into the body."""
        return self.axes[:, 2]

    def image_coordinates(self, points: Vector) -> Vector:
        """Points `(..., 3)` as lateral, elevation and axial millimetres from the probe's face."""
        return (points - self.origin) @ self.axes

    def moved(self, shift_mm: Vector, turn_degrees: Vector) -> Pose:
        """The pose after a shift and a turn, both given in the pose's own axes (lateral, elevation, axial)."""
        return Pose(self.origin + self.axes @ shift_mm, self.axes @ rotation(turn_degrees))

    def seen_from(self, body: Frame) -> Pose:
        """The same pose in a body's own coordinates."""
        return Pose(body.inner(self.origin), body.axes.T @ self.axes)

    def turned_round(self) -> Pose:
        """The same image seen from its other side: the probe turned by 180° about its axial axis."""
        return Pose(self.origin, self.axes * np.array([-1.0, -1.0, 1.0]))


def pose_on_skin(centre: Vector, normal: Vector, turn_degrees: float = 0.0) -> Pose:
    """The pose that shows the plane through `centre` with that normal, the probe's face at the skin (z = 0).

    Args:
        centre: what the image is centred on, in millimetres; below the skin.
        normal: normal of the wanted plane; not vertical.
        turn_degrees: tilt of the probe within the plane.
    """
    elevation = unit(normal)
    down = np.array([0.0, 0.0, 1.0])
    axial = unit(down - (down @ elevation) * elevation)
    lateral = np.cross(elevation, axial)
    axes = np.stack([lateral, elevation, axial], axis=1) @ rotation((0.0, turn_degrees, 0.0))
    axial = axes[:, 2]
    return Pose(centre - axial * (centre[2] / axial[2]), axes)


def between(start: Pose, end: Pose, share: float) -> Pose:
    """The pose at `share` (0 to 1) of the shortest way from one pose to another."""
    turn = rotation_between(start.axes, end.axes)
    return Pose(start.origin + share * (end.origin - start.origin), start.axes @ rotation(share * turn))
