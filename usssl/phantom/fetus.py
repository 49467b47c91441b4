"""A whole fetus in its mother: sampled sizes and posture, solids, landmarks and standard planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from usssl.phantom.head import Head
from usssl.phantom.limbs import Limb, level_direction
from usssl.phantom.planes import StandardPlane, plane_through
from usssl.phantom.poses import Frame, Vector, rotation, unit
from usssl.phantom.solids import Solid, placed
from usssl.phantom.trunk import Trunk


@dataclass(frozen=True)
class Fetus:
    """A fetus; coordinates as in `usssl.phantom.trunk`.

    Attributes:
        weeks: gestational age.
        lie: where the fetus lies in the mother, at rest.
        trunk: chest and abdomen.
        head: the head.
        head_place: where the head sits on the trunk.
        legs: right and left leg.
        arms: right and left arm.
    """

    weeks: float
    lie: Frame
    trunk: Trunk
    head: Head
    head_place: Frame
    legs: tuple[Limb, Limb]
    arms: tuple[Limb, Limb]

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Fetus:
        """A fetus of 18 to 26 weeks in a random lie, all standard planes within reach from the mother's skin."""
        weeks = generator.uniform(18, 26)
        trunk, head = Trunk.sample(generator, weeks), Head.sample(generator, weeks)
        axes = _lie(generator)
        vertical = axes.T @ np.array([0.0, 0.0, 1.0])
        head_place = _head_place(generator, trunk, head, vertical)
        legs = tuple(_leg(generator, trunk, weeks, side, vertical) for side in (1, -1))
        arms = tuple(_arm(generator, trunk, weeks, side, vertical) for side in (1, -1))
        return cls(weeks, Frame(axes, np.zeros(3)), trunk, head, head_place, (legs[0], legs[1]), (arms[0], arms[1]))

    def solids(self) -> list[Solid]:
        """Everything, in painting order, in the coordinates of the fetus."""
        limbs = (*self.arms, *self.legs)
        head = placed(self.head.solids(), self.head_place)
        trunk = self.trunk.solids()
        return [
            *(solid for limb in limbs for solid in limb.soft()),
            *trunk,
            *head,
            *(solid for limb in limbs for solid in limb.bones()),
        ]

    def landmarks(self) -> dict[str, Vector]:
        """What a sonographer looks at, by name, in the coordinates of the fetus."""
        spots = {name: self.head_place.outer(spot) for name, spot in self.head.landmarks().items()}
        spots |= self.trunk.landmarks()
        for name, leg in zip(("right", "left"), self.legs, strict=True):
            start, end = leg.ends
            spots |= {
                f"{name} femur, hip end": start,
                f"{name} femur, knee end": end,
                f"{name} femur, middle": (start + end) / 2,
            }
        return spots

    def planes(self) -> list[StandardPlane]:
        """The standard planes; the femur has two, one a leg."""
        spots: Mapping[str, Vector] = self.landmarks()
        head, trunk = self.head.radii[0], self.trunk.radius
        vertical = self.lie.axes.T @ np.array([0.0, 0.0, 1.0])

        def plane(name: str, tolerance: float, *names: str) -> StandardPlane:
            return plane_through(name, {key: spots[key] for key in names}, tolerance, vertical)

        return [
            plane("brain_transventricular", 0.11 * head, "cavum", "left plexus", "right plexus"),
            plane("brain_transcerebellar", 0.11 * head, "cavum", "left cerebellum", "right cerebellum"),
            plane("abdomen", 0.11 * trunk, "stomach", "umbilical vein", "spine"),
            plane(
                "four_chamber",
                0.10 * trunk,
                "left ventricle",
                "right ventricle",
                "left atrium",
                "right atrium",
                "aorta behind the heart",
            ),
            *(
                plane("femur", 1.0 * leg.bone, f"{side} femur, hip end", f"{side} femur, knee end")
                for side, leg in zip(("right", "left"), self.legs, strict=True)
            ),
        ]


def _lie(generator: np.random.Generator) -> Vector:
    """Axes of a fetus whose long axis is about level and whose back is not between its organs and the probe."""
    while True:
        azimuth, slope = generator.uniform(0, 2 * np.pi), np.radians(generator.uniform(-14, 14))
        head = np.array([np.cos(azimuth) * np.cos(slope), np.sin(azimuth) * np.cos(slope), np.sin(slope)])
        side = unit(np.cross([0.0, 0.0, 1.0], head))
        axes = np.stack([side, np.cross(head, side), head], axis=1) @ rotation((0, 0, generator.uniform(-180, 180)))
        if axes[2, 1] < 0.4:
            return np.asarray(axes)


def _head_place(generator: np.random.Generator, trunk: Trunk, head: Head, vertical: Vector) -> Frame:
    """The head, flexed on the chest and turned so that one of its sides looks about towards the probe."""
    crown = unit(np.array([generator.normal(0, 0.12), generator.uniform(-0.1, 0.45), 1.0]))
    side = unit(vertical - (vertical @ crown) * crown) * generator.choice([-1.0, 1.0])
    axes = np.stack([side, np.cross(crown, side), crown], axis=1) @ rotation((0, 0, generator.uniform(-28, 28)))
    return Frame(axes, trunk.spot(0, 0.02, 2.02) + crown * (head.radii[2] * 0.95))


def _leg(generator: np.random.Generator, trunk: Trunk, weeks: float, side: int, vertical: Vector) -> Limb:
    """A leg with a femur of some 27 mm at 18 weeks, 2.45 mm more each week."""
    length = (27.0 + 2.45 * (weeks - 18)) * generator.normal(1, 0.04) + 6.0
    hip = trunk.spot(side * 0.46, -0.02, -1.9)
    thigh = level_direction(generator, np.array([side * 0.35, 0.75, -0.55]), 0.45, vertical, 0.42)
    knee = hip + length * thigh
    shank = level_direction(generator, np.array([0.0, -0.35, -0.8]) - 0.5 * thigh, 0.3, vertical, 0.8)
    bone = 1.55 + 0.09 * (weeks - 18)
    return Limb(hip, knee, knee + 0.92 * length * shank, bone, 0.36 * trunk.radius)


def _arm(generator: np.random.Generator, trunk: Trunk, weeks: float, side: int, vertical: Vector) -> Limb:
    """An arm that shades the heart as little as chance allows, as a sonographer would wait for."""
    tries = [_random_arm(generator, trunk, weeks, side) for _ in range(8)]
    return max(tries, key=lambda arm: _clearance(arm, trunk.heart_place.origin, vertical))


def _clearance(arm: Limb, heart: Vector, vertical: Vector) -> float:
    """How far to the side of the beam to the heart an arm's bones pass, where they are above it."""
    share = np.linspace(0, 1, 9)[:, None]
    points = (
        np.concatenate([arm.root + share * (arm.joint - arm.root), arm.joint + share * (arm.end - arm.joint)]) - heart
    )
    height = points @ vertical
    aside = np.linalg.norm(points - height[:, None] * vertical, axis=1)
    return float(np.where(height < 0, aside, np.inf).min())


def _random_arm(generator: np.random.Generator, trunk: Trunk, weeks: float, side: int) -> Limb:
    length = (26.0 + 2.2 * (weeks - 18)) * generator.normal(1, 0.04)
    shoulder = trunk.spot(side * 0.98, -0.05, 1.55)
    upper = unit(np.array([side * 0.5, 0.4, -0.5]) + generator.normal(0, 0.4, 3))
    elbow = shoulder + length * upper
    lower = unit(np.array([-side * 0.6, 0.75, 0.5]) + generator.normal(0, 0.3, 3))
    bone = 1.35 + 0.07 * (weeks - 18)
    return Limb(shoulder, elbow, elbow + 0.9 * length * lower, bone, 0.24 * trunk.radius)
