"""The fetal head: skull, midline, cavum, thalami, ventricles with plexus, cerebellum, face.

Coordinates of the head: x to its right, y to its face, z to its crown; the origin is the middle of the skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usssl.phantom import tissues
from usssl.phantom.poses import Frame, Vector, rotation
from usssl.phantom.solids import Beads, Ellipsoid, Plate, Rod, Shell, Solid, along, at
from usssl.phantom.tissues import Interface


@dataclass(frozen=True)
class Head:
    """Sizes of a head.

    Attributes:
        radii: half of the biparietal, occipitofrontal and vertical diameters, in millimetres.
        cavum: half width of the cavum septi pellucidi.
        ventricle: half width of the atrium of the lateral ventricle.
        plexus: size of the choroid plexus relative to the usual.
        cerebellum: size of the cerebellum relative to the usual.
        shift: small displacements of structures, one row each, relative to `radii`.
        skull_db: how bright the skull is.
        brain_db: how bright the brain is.
    """

    radii: tuple[float, float, float]
    cavum: float
    ventricle: float
    plexus: float
    cerebellum: float
    shift: tuple[tuple[float, float, float], ...]
    skull_db: float
    brain_db: float

    @classmethod
    def sample(cls, generator: np.random.Generator, weeks: float) -> Head:
        """A head of that gestational age: biparietal diameter some 42 mm at 18 weeks, 2.8 mm more each week."""
        half = (42.0 + 2.8 * (weeks - 18)) / 2 * generator.normal(1, 0.04)
        index = generator.uniform(0.74, 0.85)
        return cls(
            radii=(half, half / index, half * generator.uniform(0.94, 1.08)),
            cavum=half * generator.uniform(0.075, 0.13),
            ventricle=half * generator.uniform(0.12, 0.19),
            plexus=generator.uniform(0.8, 1.2),
            cerebellum=generator.uniform(0.88, 1.12),
            shift=tuple(tuple(row) for row in generator.normal(0, 0.02, (6, 3))),
            skull_db=generator.uniform(17, 24),
            brain_db=generator.uniform(-2.5, 2.5),
        )

    def spot(self, x: float, y: float, z: float, shifted: int | None = None) -> Vector:
        """A point given relative to the radii; `shifted` names the displacement that it shares with its neighbours."""
        spot = np.array([x, y, z])
        if shifted is not None:
            spot = spot + np.array(self.shift[shifted])
        return spot * np.array(self.radii)

    def landmarks(self) -> dict[str, Vector]:
        """What a sonographer looks for, by name."""
        return {
            "cavum": self.spot(0, 0.40, 0.06, 0),
            "midline": self.spot(0, -0.45, 0.10),
            "thalami": self.spot(0, -0.02, -0.02, 1),
            "right plexus": self.spot(0.42, -0.36, 0.17, 2),
            "left plexus": self.spot(-0.42, -0.36, 0.17, 2),
            "right cerebellum": self.spot(0.27, -0.60, -0.46, 3),
            "left cerebellum": self.spot(-0.27, -0.60, -0.46, 3),
            "cisterna magna": self.spot(0, -0.79, -0.47, 3),
        }

    def solids(self) -> list[Solid]:
        """The head, in painting order."""
        return [*self._vault(), *self._cerebrum(), *self._ventricles(), *self._posterior_fossa(), *self._face()]

    def _vault(self) -> list[Solid]:
        a, b, c = self.radii
        brain = tissues.Tissue(
            tissues.BRAIN.level_db + self.brain_db,
            tissues.BRAIN.coarse_db,
            tissues.BRAIN.broad_db,
            tissues.BRAIN.loss_db_mm,
        )
        skull = Interface(self.skull_db, 0.6, 0.04)
        scalp = 1.9
        return [
            Solid(
                "scalp",
                Ellipsoid((a + scalp, b + scalp, c + scalp)),
                tissues.MUSCLE,
                at(0, 0, 0),
                Interface(6, 0.5, 0.05),
                skin=True,
            ),
            Solid("brain", Ellipsoid((a, b, c)), brain, at(0, 0, 0)),
            Solid("skull", Shell((a, b, c), 1.3), tissues.SKULL, at(0, 0, 0), skull, soft_mm=0.6),
            Solid(
                "cortical rim",
                Shell((a - 2.6, b - 2.6, c - 2.6), 1.6),
                tissues.FLUID,
                at(0, 0, 0),
                soft_mm=2.5,
                warp_mm=0.6,
            ),
        ]

    def _cerebrum(self) -> list[Solid]:
        a, b, c = self.radii
        line = tissues.Tissue(-2.0, 2.0, 2.0, 0.1)
        faint = tissues.Tissue(-7.0, 2.0, 2.0)
        bright = Interface(9, 0.4, 0.05)
        thalamus = Ellipsoid((0.20 * a, 0.21 * b, 0.22 * c))
        insula = Ellipsoid((0.03 * a, 0.17 * b, 0.24 * c))
        solids = [
            Solid("midline", Plate(0.6, (2, 0.94 * b, 0.92 * c)), faint, at(0, 0, 0.05 * c), soft_mm=1.0, warp_mm=0.3),
            Solid("falx", Plate(0.8, (2, 0.19 * b, 0.8 * c)), line, at(0, 0.76 * b, 0.1 * c), bright, warp_mm=0.25),
            Solid("falx", Plate(0.8, (2, 0.36 * b, 0.7 * c)), line, at(0, -0.58 * b, 0.25 * c), bright, warp_mm=0.25),
        ]
        for side in (1, -1):
            solids.append(
                Solid(
                    "insula",
                    insula,
                    line,
                    Frame(rotation((0, 0, side * 8.0)), self.spot(side * 0.66, 0.12, 0.0, 4)),
                    Interface(9, 0.4, 0.05),
                    soft_mm=1.6,
                    warp_mm=0.6,
                )
            )
            for reach, depth in ((0.45, 0.50), (0.62, -0.15), (0.2, 0.72)):
                start, end = (
                    self.spot(side * 0.80 * (1 - depth**2) ** 0.5, depth, 0.5),
                    self.spot(side * reach * 0.8, depth * 0.9, 0.42),
                )
                place, length = along(start, end)
                solids.append(Solid("sulcus", Rod(length, 0.5, 0.35), line, place, soft_mm=0.8))
        solids.extend(
            Solid(
                "thalamus",
                thalamus,
                tissues.THALAMUS,
                Frame(rotation((0, 0, side * -14.0)), self.spot(side * 0.19, -0.02, -0.04, 1)),
                Interface(-1, 0.4),
                soft_mm=1.6,
                warp_mm=0.5,
            )
            for side in (1, -1)
        )
        walls = Interface(16, 0.4, 0.03)
        length, height = 0.135 * b, 0.17 * c
        solids += [
            Solid(
                "midbrain",
                Ellipsoid((0.22 * a, 0.16 * b, 0.2 * c)),
                tissues.THALAMUS,
                Frame(np.eye(3), self.spot(0, -0.16, -0.36)),
                Interface(2, 0.5),
                soft_mm=1.4,
                warp_mm=0.4,
            ),
            Solid(
                "cavum",
                Plate(2 * self.cavum, (4 * self.cavum, length, height)),
                tissues.FLUID,
                Frame(np.eye(3), self.spot(0, 0.40, 0.04, 0)),
                walls,
                soft_mm=0.6,
            ),
        ]
        return solids

    def _ventricles(self) -> list[Solid]:
        b = self.radii[1]
        width = self.ventricle
        wall = Interface(9, 0.4, 0.05)
        solids = []
        for side in (1, -1):
            horn, _ = along(self.spot(side * 0.20, 0.52, 0.12), self.spot(side * 0.16, 0.26, 0.14))
            solids.append(
                Solid(
                    "frontal horn",
                    Ellipsoid((0.45 * width, 0.8 * width, 0.17 * b)),
                    tissues.FLUID,
                    horn,
                    wall,
                    warp_mm=0.2,
                )
            )
            place, length = along(self.spot(side * 0.30, -0.12, 0.20, 2), self.spot(side * 0.50, -0.62, 0.14, 2))
            solids.append(
                Solid("atrium", Rod(length, 0.85 * width, 1.1 * width), tissues.FLUID, place, wall, warp_mm=0.3)
            )
            start, end = self.spot(side * 0.34, -0.18, 0.18, 2), self.spot(side * 0.46, -0.50, 0.15, 2)
            place, length = along(start, end)
            plexus = Ellipsoid((0.72 * width * self.plexus, 0.9 * width * self.plexus, 0.62 * length))
            solids.append(Solid("plexus", plexus, tissues.PLEXUS, place, warp_mm=0.6))
        return solids

    def _posterior_fossa(self) -> list[Solid]:
        a, b, c = self.radii
        size = self.cerebellum
        solids = [
            Solid(
                "cisterna magna",
                Ellipsoid((0.52 * a, 0.17 * b, 0.24 * c)),
                tissues.FLUID,
                Frame(np.eye(3), self.spot(0, -0.68, -0.46, 3)),
                soft_mm=1.5,
                warp_mm=0.4,
            ),
        ]
        for side in (1, -1):
            lobe = Ellipsoid((0.28 * a * size, 0.17 * b * size, 0.25 * c * size))
            solids.append(
                Solid(
                    "cerebellum",
                    lobe,
                    tissues.CEREBELLUM,
                    Frame(rotation((0, 0, side * 16.0)), self.spot(side * 0.27, -0.60, -0.46, 3)),
                    Interface(10, 0.45, 0.3),
                    warp_mm=0.35,
                )
            )
            start, end = self.spot(side * 0.22, -0.28, -0.75), self.spot(side * 0.75, -0.35, -0.62)
            place, length = along(start, end)
            solids.append(
                Solid("petrous ridge", Rod(length, 1.6, 1.3), tissues.THIN_BONE, place, Interface(15, 0.7, 0.3))
            )
            start, end = self.spot(side * 0.12, 0.12, -0.62), self.spot(side * 0.78, 0.34, -0.48)
            place, length = along(start, end)
            solids.append(
                Solid("sphenoid wing", Rod(length, 1.5, 1.0), tissues.THIN_BONE, place, Interface(15, 0.7, 0.3))
            )
        solids.append(
            Solid(
                "vermis",
                Ellipsoid((0.09 * a, 0.13 * b, 0.2 * c)),
                tissues.VERMIS,
                Frame(np.eye(3), self.spot(0, -0.60, -0.46, 3)),
                Interface(4, 0.5, 0.3),
                soft_mm=1.2,
            )
        )
        return solids

    def _face(self) -> list[Solid]:
        a, b, c = self.radii
        face = Ellipsoid((0.62 * a, 0.45 * b, 0.75 * c))
        solids = [
            Solid(
                "face",
                face,
                tissues.MUSCLE,
                Frame(rotation((12.0, 0, 0)), self.spot(0, 0.58, -0.78)),
                Interface(7, 0.5),
                warp_mm=0.5,
                skin=True,
            ),
            Solid(
                "maxilla",
                Beads((0.30 * a, 1.6, 1.4), 4.0, 9.0),
                tissues.THIN_BONE,
                Frame(np.eye(3), self.spot(0, 0.80, -1.0)),
                Interface(14, 0.6, 0.3),
            ),
            Solid(
                "nose",
                Ellipsoid((0.14 * a, 0.12 * b, 0.16 * c)),
                tissues.SKIN,
                Frame(np.eye(3), self.spot(0, 1.03, -0.72)),
                Interface(7, 0.5),
                skin=True,
            ),
        ]
        for side in (1, -1):
            orbit = self.spot(side * 0.40, 0.76, -0.52)
            solids.append(
                Solid(
                    "orbit",
                    Ellipsoid((0.21 * a, 0.16 * b, 0.21 * c)),
                    tissues.FLUID,
                    Frame(np.eye(3), orbit),
                    Interface(12, 0.6, 0.3),
                )
            )
            lens = Shell((0.06 * a, 0.05 * b, 0.07 * c), 0.6)
            solids.append(
                Solid(
                    "lens",
                    lens,
                    tissues.SKIN,
                    Frame(np.eye(3), orbit + np.array([0, 0.08 * b, 0])),
                    Interface(4, 0.4, 0.3),
                )
            )
            start, end = self.spot(side * 0.48, 0.30, -1.12), self.spot(side * 0.08, 0.86, -1.25)
            place, length = along(start, end)
            solids.append(Solid("mandible", Rod(length, 1.5, 1.5), tissues.THIN_BONE, place, Interface(14, 0.6, 0.3)))
        return solids
