"""The fetal heart: four chambers that beat, in the left front of the chest.

Coordinates of the heart: x to its apex, y to its left side, z to the head; the origin is its middle. The plane z = 0
shows four chambers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usssl.phantom import tissues
from usssl.phantom.poses import Frame, Vector, rotation
from usssl.phantom.solids import Ellipsoid, Plate, Rod, Solid, along, at
from usssl.phantom.tissues import Interface

_SYSTOLE = 0.5
"""When in the cycle the ventricles are smallest; it begins when they are largest."""


@dataclass(frozen=True)
class Heart:
    """Sizes of a heart.

    Attributes:
        size: millimetres to a unit; some 1 mm at 20 weeks.
        ventricles: relative width of the left and the right ventricle.
        atria: relative width of the left and the right atrium.
        wall_db: how bright the wall is.
        stroke: by what share the chambers grow and shrink.
    """

    size: float
    ventricles: tuple[float, float]
    atria: tuple[float, float]
    wall_db: float
    stroke: float

    @classmethod
    def sample(cls, generator: np.random.Generator, size: float) -> Heart:
        """A heart for a fetus of that size (1 at 20 weeks)."""
        widths = generator.uniform(0.86, 1.14, 4)
        return cls(
            size=size * generator.uniform(0.92, 1.1),
            ventricles=(widths[0], widths[1]),
            atria=(widths[2], widths[3]),
            wall_db=generator.uniform(-2, 3),
            stroke=generator.uniform(0.07, 0.13),
        )

    def landmarks(self) -> dict[str, Vector]:
        """What a sonographer looks for, by name."""
        spots = {
            "left ventricle": (4.2, 3.6, 0.0),
            "right ventricle": (3.8, -3.8, 0.0),
            "left atrium": (-6.4, 3.3, 0.0),
            "right atrium": (-6.2, -3.7, 0.0),
            "crux": (-1.6, 0.0, 0.0),
        }
        return {name: np.array(spot) * self.size for name, spot in spots.items()}

    def solids(self) -> list[Solid]:
        """The heart, in painting order."""
        return [*self._wall(), *self._chambers(), *self._walls_between()]

    def _ellipsoid(self, x: float, y: float, z: float) -> Ellipsoid:
        return Ellipsoid((x * self.size, y * self.size, z * self.size))

    def _at(self, x: float, y: float, z: float, turn: float = 0.0) -> Frame:
        return at(x * self.size, y * self.size, z * self.size, rotation((0, 0, turn)))

    def _wall(self) -> list[Solid]:
        muscle = tissues.Tissue(tissues.MYOCARDIUM.level_db + self.wall_db, 1.2, 0.8)
        pericardium = Interface(6, 0.5, 0.25)
        return [
            Solid(
                "ventricular wall",
                self._ellipsoid(10.5, 8.6, 7.6),
                muscle,
                self._at(2.6, 0, 0),
                pericardium,
                warp_mm=0.3,
                swell=0.25 * self.stroke,
            ),
            Solid(
                "atrial wall", self._ellipsoid(6.2, 8.6, 6.0), muscle, self._at(-6.0, -0.2, 0), pericardium, warp_mm=0.3
            ),
        ]

    def _chambers(self) -> list[Solid]:
        (left, right), (left_atrium, right_atrium) = self.ventricles, self.atria
        lining = Interface(3, 0.45, 0.2)
        beat, fill = (self.stroke, 0.0), (0.8 * self.stroke, _SYSTOLE)
        rooms = [
            ("left ventricle", self._ellipsoid(7.0, 3.2 * left, 4.2), self._at(4.4, 3.5, 0, -12), beat),
            ("right ventricle", self._ellipsoid(6.2, 3.3 * right, 4.2), self._at(3.6, -3.8, 0, 14), beat),
            ("left atrium", self._ellipsoid(3.9, 3.6 * left_atrium, 4.2), self._at(-6.4, 3.4, 0), fill),
            ("right atrium", self._ellipsoid(4.1, 3.8 * right_atrium, 4.4), self._at(-6.2, -3.8, 0), fill),
        ]
        return [
            Solid(name, shape, tissues.BLOOD, place, lining, swell=swell, swell_phase=phase)
            for name, shape, place, (swell, phase) in rooms
        ]

    def _walls_between(self) -> list[Solid]:
        size = self.size
        muscle = tissues.Tissue(-3.0 + self.wall_db, 1.0, 0.5)
        bright = Interface(6, 0.45, 0.15)
        leaflet = tissues.Tissue(-2.0, 1.0, 0.5)
        across = rotation((0, 0, 90.0))
        solids = [
            Solid(
                "septum",
                Plate(1.3 * size, (2 * size, 6.5 * size, 5 * size)),
                muscle,
                Frame(across, np.array([5.0, -0.1, 0]) * size),
                bright,
            ),
            Solid(
                "atrial septum",
                Plate(0.6 * size, (2 * size, 2.6 * size, 4 * size)),
                leaflet,
                Frame(across, np.array([-7.6, -0.2, 0]) * size),
                bright,
            ),
            Solid(
                "left lining",
                Plate(0.6 * size, (2 * size, 3.0 * size, 3 * size)),
                leaflet,
                self._at(-1.9, 3.4, 0),
                bright,
            ),
            Solid(
                "right lining",
                Plate(0.6 * size, (2 * size, 3.2 * size, 3 * size)),
                leaflet,
                self._at(-1.1, -3.6, 0),
                bright,
            ),
            Solid("crux", self._ellipsoid(1.3, 1.2, 3.0), tissues.VERMIS, self._at(-1.5, 0, 0), bright),
        ]
        place, length = along(np.array([7.0, -0.8, -0.4]) * size, np.array([7.4, -5.2, 0.4]) * size)
        solids.append(Solid("moderator band", Rod(length, 0.6 * size, 0.6 * size), muscle, place))
        place, length = along(np.array([-2.0, 0.5, 2.5]) * size, np.array([-1.0, -3.0, 11.0]) * size)
        solids.append(Solid("outflow tract", Rod(length, 1.9 * size, 1.8 * size), tissues.BLOOD, place, bright))
        return solids
