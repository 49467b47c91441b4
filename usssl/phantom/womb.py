"""The mother about the fetus: the layers of her wall, the uterus, amniotic fluid, placenta and cord."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from usssl.phantom import tissues
from usssl.phantom.fetus import Fetus
from usssl.phantom.poses import Frame, Pose, Vector, unit
from usssl.phantom.sector import Sector
from usssl.phantom.slicing import Slice
from usssl.phantom.solids import Ellipsoid, Field, Rod, Solid, along
from usssl.phantom.tissues import Interface

_PROFILE = 512
_WALL_LOSS_DB_MM = 0.16


@dataclass(frozen=True)
class Womb:
    """The mother's wall and uterus, in her space.

    Attributes:
        wall_mm: thickness from skin to uterine cavity, on average.
        waves: amplitude (mm), wave number along x and y (1/mm) and phase of the wall's undulations, one row each.
        layers: start (as a share of the wall) and scatter (dB) of each layer, one row each.
        sheets: place (as a share of the wall) and echo (dB) of the sheets between layers, one row each.
        centre: middle of the cavity.
        axes: axes of the cavity.
        radii: radii of the cavity, in millimetres.
        placenta: on which side of the cavity the placenta sits, as a direction.
        placenta_mm: its thickness.
        cord: points along the umbilical cord, one row each.
        fetus_depth_mm: how deep the middle of the fetus lies.
    """

    wall_mm: float
    waves: Vector
    layers: Vector
    sheets: Vector
    centre: Vector
    axes: Vector
    radii: tuple[float, float, float]
    placenta: Vector
    placenta_mm: float
    cord: Vector
    fetus_depth_mm: float

    @classmethod
    def about(cls, fetus: Fetus, generator: np.random.Generator) -> Womb:
        """A womb that holds the fetus, whose trunk lies at the origin of the mother's x and y."""
        r = fetus.trunk.radius
        wall = generator.uniform(13, 26)
        points = np.stack([*fetus.landmarks().values(), *(p for leg in fetus.legs for p in (leg.joint, leg.end))])
        points = points @ fetus.lie.axes.T
        long_axis = unit(fetus.lie.axes[:, 2] * np.array([1, 1, 0]))
        side = np.array([-long_axis[1], long_axis[0], 0.0])
        axes = np.stack([long_axis, side, [0.0, 0.0, 1.0]], axis=1)
        low, high = (points @ axes).min(axis=0), (points @ axes).max(axis=0)
        slack = generator.uniform((6, 4, 4), (24, 26, 18))
        radii = (high - low) / 2 * np.array([1.05, 1.0, 0.85]) + slack
        radii = np.maximum(radii, r * np.array([2.0, 1.5, 1.15]) + slack / 2)
        middle = axes @ ((low + high) / 2)
        depth = wall + radii[2] - 0.8 * middle[2]
        middle[2] = wall + radii[2]
        angle = generator.uniform(0, 2 * np.pi)
        placenta = unit(np.array([0.5 * generator.normal(), np.cos(angle), np.sin(angle)]))
        count = int(generator.integers(3, 6))
        starts = np.sort(np.concatenate([[0.0, 0.07], generator.uniform(0.15, 0.95, count)]))
        layers = np.stack([starts, np.concatenate([[0.0], generator.uniform(-9, 3, count + 1)])], axis=1)
        sheets = np.stack(
            [np.concatenate([starts[1:], generator.uniform(0.1, 0.98, 4)]), generator.uniform(0, 12, count + 5)], axis=1
        )
        navel = fetus.lie.axes @ fetus.trunk.spot(0, 1.0, -1.0) + np.array([0.0, 0.0, depth])
        return cls(
            wall_mm=wall,
            waves=np.stack(
                [generator.uniform(0.5, 2.5, 4), *generator.normal(0, 0.05, (2, 4)), generator.uniform(0, 6.3, 4)],
                axis=1,
            ),
            layers=layers,
            sheets=sheets,
            centre=middle,
            axes=axes,
            radii=(radii[0], radii[1], radii[2]),
            placenta=placenta,
            placenta_mm=generator.uniform(18, 32),
            cord=_cord(generator, navel, middle + axes @ (placenta * radii) * 0.75),
            fetus_depth_mm=float(depth),
        )

    @cached_property
    def _profile(self) -> NDArray[np.float32]:
        """Scatter (dB) and sheet echo (amplitude) through the wall, `(2, _PROFILE)`."""
        share = np.linspace(0, 1, _PROFILE)
        level = self.layers[np.searchsorted(self.layers[:, 0], share, side="right") - 1, 1]
        echo = np.zeros(_PROFILE)
        for place, strength in self.sheets:
            echo += 10 ** (strength / 20) * np.exp(-0.5 * ((share - place) * self.wall_mm / 0.35) ** 2)
        return np.stack([level, echo]).astype(np.float32)

    def surroundings(self, pose: Pose, sector: Sector, coarse: Field, broad: Field) -> Slice:
        """The mother's tissue, before the uterus is painted over it.

        Args:
            pose: the image plane, in the mother's space.
            sector: the grid.
            coarse: fine texture on the grid.
            broad: broad texture on the grid.
        """
        lateral = sector.beams[0][:, :1].astype(np.float64)
        x = pose.origin[0] + lateral * pose.lateral[0]
        y = pose.origin[1] + lateral * pose.lateral[1]
        wall = np.full_like(lateral, self.wall_mm)
        for size, along_x, along_y, phase in self.waves:
            wall += size * np.sin(along_x * x + along_y * y + phase)
        share = sector.depths[None] * (_PROFILE / np.maximum(wall, 6.0)).astype(np.float32)
        share += broad * np.float32(8.0)
        index = np.clip(share, 0, _PROFILE - 1).astype(np.intp)
        level, echo = self._profile[0].take(index), self._profile[1].take(index)
        inside = index < _PROFILE - 1
        texture = tissues.MATERNAL
        level = np.where(inside, level, np.float32(texture.level_db))
        level += coarse * np.float32(texture.coarse_db)
        level += broad * np.float32(texture.broad_db)
        # Sheets of connective tissue are broken and uneven.
        echo *= np.clip(np.float32(0.7) + np.float32(0.5) * broad, np.float32(0.05), np.float32(1.6))
        # Fat and muscle swallow unequal shares of the beam, which streaks all that lies below them.
        loss = np.where(inside, broad * np.float32(_WALL_LOSS_DB_MM), np.float32(0))
        return Slice(level, echo, loss)

    def solids(self) -> list[Solid]:
        """Uterus, fluid, placenta and cord, in painting order, in the mother's space."""
        a, b, c = self.radii
        place = Frame(self.axes, self.centre)
        thick = self.placenta_mm
        wall = Interface(7, 0.7, 0.08)
        seat = self.centre + self.axes @ (self.placenta * (np.array(self.radii) - 0.15 * thick))
        inward = unit(self.axes @ (self.placenta / np.array(self.radii)))
        side = unit(np.cross(inward, [0.3, 0.9, 0.1]))
        disc = Frame(np.stack([side, np.cross(inward, side), inward], axis=1), seat)
        solids = [
            Solid("uterus", Ellipsoid((a + 8, b + 8, c + 7)), tissues.MYOMETRIUM, place, soft_mm=3.0, warp_mm=1.2),
            Solid("amniotic fluid", Ellipsoid((a, b, c)), tissues.AMNIOTIC, place, wall, warp_mm=0.9),
            Solid(
                "placenta",
                Ellipsoid((48.0, 44.0, thick)),
                tissues.PLACENTA,
                disc,
                Interface(5, 0.6, 0.15),
                soft_mm=1.0,
                warp_mm=1.5,
            ),
        ]
        wharton = Interface(5, 0.5, 0.3)
        for start, end in zip(self.cord[:-1], self.cord[1:], strict=True):
            piece, length = along(start, end)
            solids.append(Solid("cord", Rod(length, 3.6, 3.6), tissues.CARTILAGE, piece, wharton))
        for start, end in zip(self.cord[:-1], self.cord[1:], strict=True):
            piece, length = along(start, end)
            solids.append(Solid("cord vein", Rod(length, 1.7, 1.7), tissues.BLOOD, piece, wharton))
        return solids


def _cord(generator: np.random.Generator, start: Vector, end: Vector) -> Vector:
    """A loose loop between two points, `(9, 3)`."""
    share = np.linspace(0, 1, 9)[:, None]
    points = start + share * (end - start)
    sway = generator.normal(0, 14, (3, 3))
    for wave, size in enumerate(sway, start=1):
        points = points + np.sin(np.pi * wave * share) * size
    return np.asarray(points)
