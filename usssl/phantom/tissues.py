"""What the phantom is made of: how strongly each tissue scatters, reflects and attenuates.

Levels are decibels relative to fetal liver. They are set by eye against real images, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tissue:
    """How a tissue looks in B-mode.

    Attributes:
        level_db: mean scatter, relative to liver.
        coarse_db: how much scatter varies over some 3 mm (standard deviation).
        broad_db: how much scatter varies over some 8 mm.
        loss_db_mm: loss of the echo per millimetre of depth, beyond what gain compensation makes up for in soft tissue.
    """

    level_db: float
    coarse_db: float = 1.0
    broad_db: float = 1.0
    loss_db_mm: float = 0.0

    def row(self) -> NDArray[np.float32]:
        """The numbers as an array."""
        return np.array([self.level_db, self.coarse_db, self.broad_db, self.loss_db_mm], np.float32)


@dataclass(frozen=True)
class Interface:
    """The mirror-like echo of a surface.

    Attributes:
        level_db: echo where the beam meets the surface squarely, relative to liver scatter.
        width_mm: thickness of the reflecting layer.
        diffuse: share of the echo that is left where the beam grazes the surface, 0 to 1.
    """

    level_db: float
    width_mm: float = 0.6
    diffuse: float = 0.1


# Fluid costs the beam nothing, and the gain set for tissue then shows what lies behind too bright.
_FLUID_LOSS = -0.10

AMNIOTIC = Tissue(-34.0, 1.0, 2.5, _FLUID_LOSS)
FLUID = Tissue(-38.0, 1.0, 1.0, _FLUID_LOSS)
BLOOD = Tissue(-28.0, 1.0, 1.0, _FLUID_LOSS)

LIVER = Tissue(0.0, 1.4, 0.8)
BRAIN = Tissue(-13.0, 1.6, 1.5, -0.03)
THALAMUS = Tissue(-16.0, 1.0, 0.8, -0.03)
CEREBELLUM = Tissue(-10.0, 1.6, 0.6, -0.03)
VERMIS = Tissue(2.0, 1.5, 0.6)
PLEXUS = Tissue(3.0, 2.5, 0.8)
LUNG = Tissue(1.5, 1.2, 0.8)
MYOCARDIUM = Tissue(-7.0, 1.2, 0.8)
MUSCLE = Tissue(-6.0, 2.5, 1.5)
FAT = Tissue(-1.0, 2.0, 2.0)
SKIN = Tissue(3.0, 1.5, 1.0)
BOWEL = Tissue(-1.0, 4.0, 2.0)
KIDNEY = Tissue(-5.0, 1.2, 0.8)
CARTILAGE = Tissue(-12.0, 1.0, 0.5)
PLACENTA = Tissue(1.5, 2.0, 1.6)
MYOMETRIUM = Tissue(-5.0, 2.6, 2.0)
MATERNAL = Tissue(-5.0, 3.5, 4.0)

SKULL = Tissue(-1.0, 1.5, 2.5, 3.4)
RIB = Tissue(5.0, 1.5, 1.0, 2.6)
THIN_BONE = Tissue(6.0, 1.5, 1.0, 8.0)
BONE = Tissue(7.0, 1.0, 1.0, 12.0)
