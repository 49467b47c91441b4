"""Shapes that anatomy is built of, each by its signed distance, and solids: shapes of a tissue at a place.

All distances are millimetres, negative inside, exact near the surface and roughly right elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.poses import Frame, Matrix, Vector
from usssl.phantom.tissues import Interface, Tissue

Field = NDArray[np.float32]
"""One number at each point of the image grid, `(lines, samples)`, or of a part of it."""


_TINY = 1e-3


class Shape(Protocol):
    """A shape about its own origin and axes."""

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        ...

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid by its three radii."""

    radii: tuple[float, float, float]

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        return np.array(self.radii)

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        # First order in the distance: value of the implicit function over the length of its gradient.
        a, b, c = (np.float32(1.0 / radius) for radius in self.radii)
        x, y, z = x * a, y * b, z * c
        level = x * x
        level += y * y
        level += z * z
        x *= a
        y *= b
        z *= c
        slope = x * x
        slope += y * y
        slope += z * z
        # Near the middle both are 0; their ratio stays the smallest radius.
        level += np.float32(_TINY**2)
        slope += np.float32((_TINY / min(self.radii)) ** 2)
        np.sqrt(level, out=level)
        np.sqrt(slope, out=slope)
        result = level - np.float32(1.0)
        result *= level
        result /= slope
        return result


@dataclass(frozen=True)
class Shell:
    """The layer about an ellipsoid's surface."""

    radii: tuple[float, float, float]
    thickness: float

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        return np.array(self.radii) + self.thickness

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        result = Ellipsoid(self.radii).distance(x, y, z)
        np.abs(result, out=result)
        result -= np.float32(self.thickness / 2)
        return result


@dataclass(frozen=True)
class Rod:
    """A round rod along z with round ends; its radius goes evenly from `radius` (z < 0) to `end_radius` (z > 0)."""

    length: float
    radius: float
    end_radius: float
    flare: float = 0.0

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        widest = max(self.radius, self.end_radius) + self.flare
        return np.array([widest, widest, self.length / 2 + widest])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        half = np.float32(self.length / 2)
        along = np.clip(z, -half, half)
        rest = z - along
        rest *= rest
        rest += x * x
        rest += y * y
        np.sqrt(rest, out=rest)
        along /= np.float32(self.length)
        if self.flare:
            # Long bones widen towards both ends.
            end = along * along
            end *= end
            rest -= end * np.float32(16.0 * self.flare)
        along *= np.float32(self.end_radius - self.radius)
        along += np.float32((self.end_radius + self.radius) / 2)
        rest -= along
        return rest


@dataclass(frozen=True)
class Plate:
    """A flat layer of some thickness along x, bounded by an ellipsoid."""

    thickness: float
    radii: tuple[float, float, float]

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        return np.array([self.thickness / 2 + 0.5, self.radii[1], self.radii[2]])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        rim = Ellipsoid(self.radii).distance(x, y, z)
        flat = np.abs(x)
        flat -= np.float32(self.thickness / 2)
        return np.maximum(rim, flat, out=rim)


@dataclass(frozen=True)
class Beads:
    """Equal ellipsoids in a row along z, every `pitch`; the row bends along y by `bend` · z²."""

    radii: tuple[float, float, float]
    pitch: float
    length: float
    bend: float = 0.0

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        half = self.length / 2
        return np.array([self.radii[0], self.radii[1] + abs(self.bend) * half * half, half + self.radii[2]])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        y = y - np.float32(self.bend) * z * z
        last = np.float32(int(self.length / 2 / self.pitch))
        bead = z * np.float32(1.0 / self.pitch)
        np.rint(bead, out=bead)
        np.clip(bead, -last, last, out=bead)
        bead *= np.float32(-self.pitch)
        bead += z
        return Ellipsoid(self.radii).distance(x, y, bead)


@dataclass(frozen=True)
class Hoops:
    """Bands around an ellipsoid, every `pitch` along z, slanting forward, open in front: ribs."""

    radii: tuple[float, float, float]
    thickness: float
    width: float
    pitch: float
    slant: float
    top: float
    bottom: float

    def reach(self) -> Vector:
        """Half extents of the box that holds the shape."""
        return np.array(self.radii) + self.thickness

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance at points given by their coordinates."""
        result = Ellipsoid(self.radii).distance(x, y, z)
        np.abs(result, out=result)
        result -= np.float32(self.thickness / 2)
        level = np.clip(z, np.float32(self.bottom), np.float32(self.top))
        level += y * np.float32(self.slant)
        band = level * np.float32(1.0 / self.pitch)
        np.rint(band, out=band)
        band *= np.float32(-self.pitch)
        band += level
        np.abs(band, out=band)
        band -= np.float32(self.width / 2)
        np.maximum(result, band, out=result)
        np.maximum(result, z - np.float32(self.top), out=result)
        np.maximum(result, np.float32(self.bottom) - z, out=result)
        # The breast bone of a fetus is cartilage: the bands end before the midline in front.
        np.maximum(result, y - np.float32(0.8 * self.radii[1]), out=result)
        return result


@dataclass(frozen=True)
class Solid:
    """A shape of one tissue at one place.

    Attributes:
        name: what it is, in words of anatomy.
        shape: its form, about its own origin and axes.
        tissue: what fills it.
        place: where it is, in the coordinates of the body that it belongs to.
        interface: the echo of its surface, if it has one.
        soft_mm: over how many millimetres it fades into its surroundings.
        warp_mm: how far its outline departs from the shape, as organs do (standard deviation).
        skin: whether it bounds the fetus, so that what is in it moves with the fetus.
        swell: by what share of its size it grows and shrinks with the heart.
        swell_phase: when in the heart cycle it is largest, 0 to 1.
    """

    name: str
    shape: Shape
    tissue: Tissue
    place: Frame
    interface: Interface | None = None
    soft_mm: float = 0.8
    warp_mm: float = 0.0
    skin: bool = False
    swell: float = 0.0
    swell_phase: float = 0.0


def at(x: float, y: float, z: float, axes: Matrix | None = None) -> Frame:
    """A place, by millimetres and, where it matters, by axes."""
    return Frame(np.eye(3) if axes is None else axes, np.array([x, y, z], np.float64))


def along(start: Vector, end: Vector) -> tuple[Frame, float]:
    """The place half-way between two points with its z axis along them, and their distance."""
    step = end - start
    length = float(np.linalg.norm(step))
    z = step / length
    x = np.cross(z, [0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0])
    x /= np.linalg.norm(x)
    return Frame(np.stack([x, np.cross(z, x), z], axis=1), (start + end) / 2), length


def placed(solids: Iterable[Solid], body: Frame) -> list[Solid]:
    """The solids of a part in the coordinates of the whole that the part is placed in."""
    return [replace(solid, place=solid.place.within(body)) for solid in solids]
