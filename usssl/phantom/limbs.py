"""Arms and legs of the fetus: long bones in soft tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usssl.phantom import tissues
from usssl.phantom.poses import Frame, Vector, unit
from usssl.phantom.solids import Ellipsoid, Rod, Solid, along
from usssl.phantom.tissues import Interface

_BONE = Interface(26, 0.9, 0.12)
_SKIN = Interface(8, 0.6, 0.1)


@dataclass(frozen=True)
class Limb:
    """An arm or a leg, in the coordinates of the fetus.

    Attributes:
        root: hip or shoulder.
        joint: knee or elbow.
        end: ankle or wrist.
        bone: radius of the upper bone, in millimetres.
        flesh: radius of the soft tissue at the root.
    """

    root: Vector
    joint: Vector
    end: Vector
    bone: float
    flesh: float

    @property
    def ends(self) -> tuple[Vector, Vector]:
        """The two ends of the upper bone's shaft."""
        step = unit(self.joint - self.root)
        return self.root + 3.0 * step, self.joint - 3.0 * step

    def soft(self) -> list[Solid]:
        """Flesh and skin."""
        upper, upper_length = along(self.root, self.joint)
        lower, lower_length = along(self.joint, self.end)
        f = self.flesh
        return [
            Solid("upper limb", Rod(upper_length, f, 0.72 * f), tissues.MUSCLE, upper, _SKIN, warp_mm=0.5, skin=True),
            Solid(
                "lower limb",
                Rod(lower_length, 0.68 * f, 0.42 * f),
                tissues.MUSCLE,
                lower,
                _SKIN,
                warp_mm=0.4,
                skin=True,
            ),
            Solid(
                "foot or hand",
                Ellipsoid((0.35 * f, 0.35 * f, 0.8 * f)),
                tissues.MUSCLE,
                Frame(lower.axes, self.end + lower.axes[:, 0] * 0.5 * f),
                _SKIN,
                warp_mm=0.5,
                skin=True,
            ),
        ]

    def bones(self) -> list[Solid]:
        """The long bones, and the cartilage at the joint."""
        start, end = self.ends
        upper, length = along(start, end)
        solids = [
            Solid(
                "knee or elbow",
                Ellipsoid((1.9 * self.bone,) * 3),
                tissues.CARTILAGE,
                Frame(np.eye(3), self.joint),
                Interface(2, 0.5),
            ),
            Solid(
                "head of the bone",
                Ellipsoid((1.8 * self.bone,) * 3),
                tissues.CARTILAGE,
                Frame(np.eye(3), self.root),
                Interface(2, 0.5),
            ),
            Solid(
                "long bone", Rod(length, self.bone, self.bone, 0.6 * self.bone), tissues.BONE, upper, _BONE, soft_mm=0.6
            ),
        ]
        step = unit(self.end - self.joint)
        across = unit(np.cross(step, unit(self.root - self.joint) + np.array([0.01, 0.02, 0.03]))) * 1.7 * self.bone
        for side, share in ((1, 0.75), (-1, 0.5)):
            place, length = along(self.joint + 4 * step + side * across, self.end - 3 * step + side * across)
            solids.append(
                Solid(
                    "lower bone",
                    Rod(length, share * self.bone, share * self.bone, 0.3 * self.bone),
                    tissues.BONE,
                    place,
                    _BONE,
                    soft_mm=0.6,
                )
            )
        return solids


def level_direction(
    generator: np.random.Generator, towards: Vector, spread: float, vertical: Vector, steepest: float
) -> Vector:
    """A random direction near `towards` that is nowhere near `vertical`.

    Args:
        generator: source of chance.
        towards: the direction in the middle.
        spread: how far others depart from it (standard deviation of each coordinate).
        vertical: the direction to avoid.
        steepest: largest allowed cosine with it.
    """
    best = unit(towards)
    for _ in range(64):
        direction = unit(unit(towards) + generator.normal(0, spread, 3))
        if abs(direction @ vertical) < steepest:
            return direction
        if abs(direction @ vertical) < abs(best @ vertical):
            best = direction
    return best
