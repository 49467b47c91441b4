"""A fetus in its mother, cut by image planes: everything that the scanner looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.fetus import Fetus
from usssl.phantom.medium import places, scatterers_and_texture
from usssl.phantom.poses import Frame, Pose, rotation
from usssl.phantom.sector import Sector
from usssl.phantom.slicing import Atlas, Slice, distance, paint
from usssl.phantom.womb import Womb

_MATERNAL_LAYERS = (0.9, 1.1, 2.3)
"""The mother's muscle and fat lie in sheets along her skin."""


@dataclass(frozen=True)
class Instant:
    """How the fetus lies at one time.

    Attributes:
        fetus: where it lies in the mother.
        heart: where in the heart cycle it is, 0 to 1.
    """

    fetus: Frame
    heart: float = 0.0


class Scene:
    """A fetus in its mother.

    Attributes:
        fetus: the fetus.
        womb: the mother about it.
        medium: where the mother's scatterers lie.
    """

    def __init__(self, fetus: Fetus, womb: Womb, medium: Frame) -> None:
        self.fetus = fetus
        self.womb = womb
        self.medium = medium
        self._mother = Atlas(womb.solids())
        self._child = Atlas(fetus.solids())

    @property
    def rest(self) -> Frame:
        """Where the fetus lies while it does not move."""
        return Frame(self.fetus.lie.axes, np.array([0.0, 0.0, self.womb.fetus_depth_mm]))

    def deepest_plane_mm(self) -> float:
        """Depth that shows every standard plane whole."""
        half_size = {"femur": 12.0, "abdomen": self.fetus.trunk.radius + 5, "four_chamber": self.fetus.trunk.radius}
        head = 1.15 * self.fetus.head.radii[0] + 5
        return max(
            float(self.rest.outer(plane.centre)[2]) + half_size.get(plane.name, head) for plane in self.fetus.planes()
        )

    def cut(self, pose: Pose, instant: Instant, sector: Sector) -> tuple[Slice, NDArray[np.float32]]:
        """What the beam meets in an image plane.

        Args:
            pose: the image plane, in the mother's space.
            instant: how the fetus lies.
            sector: the grid.

        Returns:
            The slice, and the complex scatterers at each grid point, `(lines, samples, 2)`.
        """
        seen = pose.seen_from(instant.fetus)
        child = [
            (solid, window, distance(solid, window, seen, sector, instant.heart))
            for solid, window in self._child.windows(seen, sector)
        ]
        index = places(pose, self.medium, *sector.beams, squeeze=_MATERNAL_LAYERS)
        inside = np.zeros(index.shape, bool)
        for solid, window, gap in child:
            if solid.skin:
                inside[window] |= gap < 0
        # Speckle inside the fetus moves with the fetus.
        np.copyto(index, places(pose, instant.fetus, *sector.beams), where=inside)
        channels = scatterers_and_texture(index)
        coarse, broad = np.ascontiguousarray(channels[..., 2]), np.ascontiguousarray(channels[..., 3])
        slice_ = self.womb.surroundings(pose, sector, coarse, broad)
        for solid, window in self._mother.windows(pose, sector):
            paint(slice_, solid, window, distance(solid, window, pose, sector), coarse, broad, sector.sample_mm)
        for solid, window, gap in child:
            paint(slice_, solid, window, gap, coarse, broad, sector.sample_mm)
        return slice_, channels[..., :2]


def sample_scene(generator: np.random.Generator) -> Scene:
    """A random fetus in a random mother."""
    fetus = Fetus.sample(generator)
    womb = Womb.about(fetus, generator)
    axes = rotation((0.0, 0.0, generator.uniform(0, 360))) @ rotation(generator.normal(0, 6, 3))
    return Scene(fetus, womb, Frame(axes, generator.uniform(0, 70, 3)))
