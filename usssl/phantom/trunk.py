"""The fetal trunk: chest, abdomen, spine and pelvis with their organs.

Coordinates of the fetus: x to its right, y to its front, z to its head; the origin is the middle of the diaphragm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usssl.phantom import tissues
from usssl.phantom.heart import Heart
from usssl.phantom.poses import Frame, Vector, rotation, unit
from usssl.phantom.solids import Beads, Ellipsoid, Hoops, Rod, Solid, along, placed
from usssl.phantom.tissues import Interface


@dataclass(frozen=True)
class Trunk:
    """Sizes of a trunk.

    Attributes:
        radius: radius of the abdomen, in millimetres; the unit of everything else.
        heart: the heart.
        heart_axes: the heart's axes in the coordinates of the fetus.
        stomach: size of the stomach bubble relative to the usual.
        vein: radius of the umbilical vein, relative to `radius`.
        liver_db: how bright the liver is.
        lung_db: how bright the lungs are.
        shift: small displacements of organs, one row each, relative to `radius`.
        flatness: depth of the trunk relative to its width.
        bladder: size of the bladder relative to the usual.
    """

    radius: float
    heart: Heart
    heart_axes: Vector
    stomach: float
    vein: float
    liver_db: float
    lung_db: float
    shift: tuple[tuple[float, float, float], ...]
    flatness: float
    bladder: float

    @classmethod
    def sample(cls, generator: np.random.Generator, weeks: float) -> Trunk:
        """A trunk of that gestational age: abdomen some 41 mm across at 18 weeks, 3.45 mm more each week."""
        radius = (41.0 + 3.45 * (weeks - 18)) / 2 * generator.normal(1, 0.05)
        apex = unit(np.array([-0.7, 0.7, -0.1]) + generator.normal(0, 0.07, 3))
        head = unit(np.array([0.0, 0.0, 1.0]) - apex[2] * apex)
        return cls(
            radius=radius,
            heart=Heart.sample(generator, radius / 20),
            heart_axes=np.stack([apex, np.cross(head, apex), head], axis=1),
            stomach=generator.uniform(0.75, 1.25),
            vein=generator.uniform(0.07, 0.10),
            liver_db=generator.uniform(-2.5, 1.5),
            lung_db=generator.uniform(-2.5, 1.0),
            shift=tuple(tuple(row) for row in generator.normal(0, 0.025, (6, 3))),
            flatness=generator.uniform(0.88, 1.02),
            bladder=generator.uniform(0.4, 1.2),
        )

    def spot(self, x: float, y: float, z: float, shifted: int | None = None) -> Vector:
        """A point given in radii; `shifted` names the displacement that it shares with its neighbours."""
        spot = np.array([x, y * self.flatness, z])
        if shifted is not None:
            spot = spot + np.array(self.shift[shifted])
        return spot * self.radius

    @property
    def heart_place(self) -> Frame:
        """Where the heart lies."""
        return Frame(self.heart_axes, self.spot(-0.17, 0.20, 0.66, 0))

    def landmarks(self) -> dict[str, Vector]:
        """What a sonographer looks for, by name."""
        place = self.heart_place
        aorta = self.spot(-0.14, -0.42, 0.0)
        # The four-chamber plane meets the aorta where the heart's own z is 0.
        normal = place.axes[:, 2]
        aorta = aorta + np.array([0, 0, ((place.origin - aorta) @ normal) / normal[2]])
        return {
            "stomach": self.spot(-0.43, -0.10, -0.62, 1),
            "umbilical vein": self.spot(0.06, 0.30, -0.62, 2),
            "spine": self.spot(0.0, -0.70, -0.62),
            "aorta behind the heart": aorta,
            **{name: place.outer(spot) for name, spot in self.heart.landmarks().items()},
        }

    def solids(self) -> list[Solid]:
        """The trunk, in painting order."""
        return [
            *self._surface(),
            *self._lungs(),
            *self._liver(),
            *self._organs(),
            *placed(self.heart.solids(), self.heart_place),
            *self._vessels(),
            *self._skeleton(),
        ]

    def _ellipsoid(self, x: float, y: float, z: float) -> Ellipsoid:
        return Ellipsoid((x * self.radius, y * self.flatness * self.radius, z * self.radius))

    def _at(self, x: float, y: float, z: float, shifted: int | None = None) -> Frame:
        return Frame(np.eye(3), self.spot(x, y, z, shifted))

    def _rod(
        self,
        name: str,
        tissue: tissues.Tissue,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
        radii: tuple[float, float],
        interface: Interface,
        *,
        shifted: int | None = None,
        skin: bool = False,
    ) -> Solid:
        """A rod between two points, its radius at either end, all in radii of the abdomen."""
        place, length = along(self.spot(*start, shifted), self.spot(*end, shifted))
        rod = Rod(length, radii[0] * self.radius, radii[1] * self.radius)
        return Solid(name, rod, tissue, place, interface, skin=skin)

    def _surface(self) -> list[Solid]:
        skin = Interface(9, 0.6, 0.12)
        wall = self.radius * 0.09
        solids = [
            Solid(
                "shoulders",
                self._ellipsoid(1.08, 0.55, 0.5),
                tissues.MUSCLE,
                self._at(0, -0.12, 1.62),
                skin,
                warp_mm=0.6,
                skin=True,
            ),
            self._rod("neck", tissues.MUSCLE, (0, -0.1, 1.5), (0, 0.0, 2.3), (0.46, 0.46), skin, skin=True),
            Solid(
                "hips",
                self._ellipsoid(0.86, 0.78, 0.85),
                tissues.MUSCLE,
                self._at(0, -0.1, -1.75),
                skin,
                warp_mm=0.5,
                skin=True,
            ),
            Solid(
                "chest",
                self._ellipsoid(0.96, 0.90, 1.6),
                tissues.MUSCLE,
                self._at(0, 0, 0.72),
                skin,
                warp_mm=0.5,
                skin=True,
            ),
            Solid(
                "belly",
                self._ellipsoid(1.0, 1.0, 1.5),
                tissues.FAT,
                self._at(0, 0.0, -0.72),
                skin,
                warp_mm=0.5,
                skin=True,
            ),
        ]
        r = self.radius - wall
        inner = Ellipsoid((r, r * self.flatness, 1.5 * self.radius - wall))
        solids.append(
            Solid("abdominal wall", inner, tissues.CARTILAGE, self._at(0, 0, -0.72), soft_mm=1.0, warp_mm=0.5)
        )
        return solids

    def _lungs(self) -> list[Solid]:
        lung = tissues.Tissue(tissues.LUNG.level_db + self.lung_db, tissues.LUNG.coarse_db, tissues.LUNG.broad_db)
        return [
            Solid("mediastinum", self._ellipsoid(0.6, 0.62, 0.9), tissues.MUSCLE, self._at(0, 0, 0.85), soft_mm=1.5),
            *(
                Solid(
                    "lung",
                    self._ellipsoid(0.48, 0.66, 0.95),
                    lung,
                    self._at(side * 0.38, -0.06, 0.68),
                    soft_mm=1.2,
                    warp_mm=0.5,
                )
                for side in (1, -1)
            ),
        ]

    def _liver(self) -> list[Solid]:
        liver = tissues.Tissue(self.liver_db, tissues.LIVER.coarse_db, tissues.LIVER.broad_db)
        capsule = Interface(6, 0.5, 0.1)
        bowel = self._ellipsoid(0.74, 0.66, 0.62)
        return [
            Solid("bowel", bowel, tissues.BOWEL, self._at(0, 0.12, -1.4), soft_mm=2.0, warp_mm=0.8),
            Solid(
                "spleen",
                self._ellipsoid(0.3, 0.34, 0.4),
                tissues.KIDNEY,
                self._at(-0.52, -0.36, -0.52, 1),
                soft_mm=1.5,
                warp_mm=0.5,
            ),
            Solid(
                "liver",
                self._ellipsoid(0.86, 0.82, 0.78),
                liver,
                self._at(0.06, 0.06, -0.42),
                capsule,
                soft_mm=1.2,
                warp_mm=0.8,
            ),
        ]

    def _organs(self) -> list[Solid]:
        r = self.radius
        wall = Interface(4, 0.5, 0.15)
        size = self.stomach
        stomach = Ellipsoid((0.22 * size * r, 0.31 * size * r, 0.27 * size * r))
        solids = [
            Solid(
                "stomach",
                stomach,
                tissues.FLUID,
                Frame(rotation((0, 15.0, 28.0)), self.spot(-0.43, -0.10, -0.62, 1)),
                wall,
                warp_mm=0.5,
            ),
            self._rod("gallbladder", tissues.FLUID, (0.32, 0.42, -0.98), (0.30, 0.10, -0.80), (0.09, 0.05), wall),
            Solid(
                "bladder",
                Ellipsoid((0.24 * self.bladder * r, 0.22 * self.bladder * r, 0.28 * self.bladder * r)),
                tissues.FLUID,
                self._at(0, 0.22, -1.92),
                wall,
                warp_mm=0.3,
            ),
        ]
        for side in (1, -1):
            place = Frame(rotation((0, side * 10.0, 0)), self.spot(side * 0.36, -0.42, -1.18, 3))
            solids += [
                Solid(
                    "kidney",
                    Ellipsoid((0.21 * r, 0.24 * r, 0.42 * r)),
                    tissues.KIDNEY,
                    place,
                    Interface(4, 0.5, 0.2),
                    warp_mm=0.3,
                ),
                Solid("renal pelvis", Ellipsoid((0.05 * r, 0.09 * r, 0.14 * r)), tissues.FLUID, place, soft_mm=1.2),
                Solid(
                    "adrenal",
                    Ellipsoid((0.12 * r, 0.10 * r, 0.14 * r)),
                    tissues.MYOCARDIUM,
                    self._at(side * 0.26, -0.42, -0.76),
                    soft_mm=1.0,
                ),
            ]
        return solids

    def _vessels(self) -> list[Solid]:
        wall = Interface(5, 0.45, 0.12)
        vein = self.vein
        # From the navel up and back through the liver, then to the right: the shape of a hockey stick.
        runs = [
            ("umbilical vein", (0.02, 0.98, -1.00), (0.05, 0.40, -0.66), (vein, vein), 2),
            ("umbilical vein", (0.05, 0.40, -0.66), (0.08, 0.16, -0.60), (vein, 1.1 * vein), 2),
            ("portal vein", (0.08, 0.16, -0.60), (0.34, 0.02, -0.58), (vein, 0.6 * vein), 2),
            ("aorta", (-0.14, -0.42, 1.1), (-0.12, -0.42, -1.6), (0.085, 0.07), None),
            ("vena cava", (0.14, -0.30, 0.4), (0.14, -0.40, -1.6), (0.075, 0.06), None),
            ("hepatic vein", (0.12, -0.20, 0.05), (0.48, 0.20, -0.30), (0.04, 0.025), None),
            ("hepatic vein", (0.08, -0.20, 0.05), (-0.12, 0.45, -0.28), (0.04, 0.025), None),
        ]
        return [
            self._rod(name, tissues.BLOOD, start, end, radii, wall, shifted=shifted)
            for name, start, end, radii, shifted in runs
        ]

    def _skeleton(self) -> list[Solid]:
        r = self.radius
        bone = Interface(17, 0.8, 0.35)
        bend, length, pitch = 0.02 / r, 4.2 * r, 0.155 * r
        ribs = Hoops(
            (0.93 * r, 0.88 * r * self.flatness, 2.1 * r), 0.075 * r, 0.10 * r, 0.26 * r, 0.28, 1.5 * r, -0.72 * r
        )
        solids = [
            Solid("ribs", ribs, tissues.RIB, self._at(0, 0, 0.2), bone, soft_mm=0.8),
            Solid(
                "cord canal",
                Beads((0.13 * r, 0.10 * r, 0.2 * r), 0.18 * r, length, bend),
                tissues.CARTILAGE,
                self._at(0, -0.80, -0.2),
            ),
            Solid(
                "vertebrae",
                Beads((0.13 * r, 0.11 * r, 0.062 * r), pitch, length, bend),
                tissues.BONE,
                self._at(0, -0.64, -0.2),
                bone,
            ),
        ]
        arch = Beads((0.075 * r, 0.075 * r, 0.055 * r), pitch, length, bend)
        for side in (1, -1):
            solids += [
                Solid("neural arch", arch, tissues.BONE, self._at(side * 0.17, -0.83, -0.2), bone),
                self._rod(
                    "ilium", tissues.BONE, (side * 0.20, -0.45, -1.72), (side * 0.62, 0.12, -1.60), (0.07, 0.05), bone
                ),
                self._rod(
                    "clavicle",
                    tissues.THIN_BONE,
                    (side * 0.1, 0.5, 1.45),
                    (side * 0.78, 0.05, 1.62),
                    (0.05, 0.05),
                    bone,
                ),
                self._rod(
                    "scapula",
                    tissues.THIN_BONE,
                    (side * 0.42, -0.62, 0.95),
                    (side * 0.8, -0.45, 1.5),
                    (0.05, 0.05),
                    bone,
                ),
            ]
        return solids
