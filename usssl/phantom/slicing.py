"""Cuts an image plane through solids: what scatters, reflects and attenuates at each point of the grid of beams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.poses import Pose
from usssl.phantom.sector import Sector
from usssl.phantom.solids import Field, Solid


@dataclass(frozen=True)
class Slice:
    """What the beam meets, each field `(lines, samples)`.

    Attributes:
        level_db: mean scatter, relative to liver.
        echo: mirror-like echo of surfaces, as an amplitude relative to liver scatter.
        loss_db_mm: loss of the echo per millimetre.
    """

    level_db: Field
    echo: Field
    loss_db_mm: Field


Window = tuple[slice, slice]
"""The part of the grid, lines and samples, that may hold a solid."""


class Atlas:
    """Solids ready to be cut: all are tested against a plane at once, and few have to be drawn."""

    def __init__(self, solids: Sequence[Solid]) -> None:
        self.solids = tuple(solids)
        self._origins = np.stack([solid.place.origin for solid in solids])
        self._axes = np.stack([solid.place.axes for solid in solids])
        margins = [
            solid.soft_mm / 2 + 3 * solid.warp_mm + (2 * solid.interface.width_mm if solid.interface else 0)
            for solid in solids
        ]
        reach = np.stack([solid.shape.reach() * (1 + abs(solid.swell)) for solid in solids])
        self._reach = reach + np.array(margins)[:, None]

    def windows(self, pose: Pose, sector: Sector) -> list[tuple[Solid, Window]]:
        """The solids that a plane may cut, in painting order, each with the part of the grid that may show it.

        Args:
            pose: the plane, in the coordinates of the solids.
            sector: the grid.
        """
        centre = (self._origins - pose.origin) @ pose.axes
        # Extent of a turned box along a direction: the sum of its half edges' shadows.
        extent = np.einsum("kr,krd->kd", self._reach, np.abs(np.swapaxes(self._axes, 1, 2) @ pose.axes))
        met = np.abs(centre[:, 1]) < extent[:, 1]
        low, high = centre - extent, centre + extent
        near = np.maximum(low[:, 2], -sector.radius_mm + 1.0) + sector.radius_mm
        far = high[:, 2] + sector.radius_mm
        met &= far > sector.radius_mm
        closest = np.clip(0.0, low[:, 0], high[:, 0])
        widest = np.maximum(np.abs(low[:, 0]), np.abs(high[:, 0]))
        first = np.hypot(closest, near) - sector.radius_mm
        last = np.hypot(widest, far) - sector.radius_mm
        left = np.degrees(np.minimum(np.arctan2(low[:, 0], near), np.arctan2(low[:, 0], far)))
        right = np.degrees(np.maximum(np.arctan2(high[:, 0], near), np.arctan2(high[:, 0], far)))
        per_line = (sector.lines - 1) / (2 * sector.half_angle)
        bounds = np.stack(
            [
                np.floor((left + sector.half_angle) * per_line),
                np.ceil((right + sector.half_angle) * per_line) + 1,
                np.floor(first / sector.sample_mm),
                np.ceil(last / sector.sample_mm) + 1,
            ],
            axis=1,
        )
        limits = np.array([sector.lines, sector.lines, sector.samples, sector.samples])
        bounds = np.clip(bounds, 0, limits).astype(int)
        met &= (bounds[:, 1] - bounds[:, 0] > 0) & (bounds[:, 3] - bounds[:, 2] > 1)
        return [(self.solids[k], (slice(*bounds[k, :2]), slice(*bounds[k, 2:]))) for k in np.flatnonzero(met)]


def distance(solid: Solid, window: Window, pose: Pose, sector: Sector, heart: float = 0.0) -> Field:
    """Signed distance to a solid on a part of the grid, `(lines, samples)` of the window.

    Args:
        solid: the solid.
        window: the part of the grid.
        pose: the plane, in the coordinates of the solids.
        sector: the grid.
        heart: where in the heart cycle, 0 to 1.
    """
    lateral, axial = (grid[window] for grid in sector.beams)
    size = 1.0 + solid.swell * np.cos(2 * np.pi * (heart - solid.swell_phase)) if solid.swell else 1.0
    start = (pose.origin - solid.place.origin) @ solid.place.axes / size
    across, into = pose.lateral @ solid.place.axes / size, pose.axial @ solid.place.axes / size
    coordinates = []
    for axis in range(3):
        coordinate = lateral * np.float32(across[axis])
        coordinate += axial * np.float32(into[axis])
        coordinate += np.float32(start[axis])
        coordinates.append(coordinate)
    result = solid.shape.distance(*coordinates)
    if solid.swell:
        result *= np.float32(size)
    return result


def paint(
    slice_: Slice, solid: Solid, window: Window, gap: Field, coarse: Field, broad: Field, sample_mm: float
) -> None:
    """Paints a solid over what is there.

    Args:
        slice_: the picture so far; changed in place.
        solid: what is painted.
        window: the part of the grid that it may fill.
        gap: signed distance to it there; overwritten.
        coarse: fine texture on the whole grid.
        broad: broad texture on the whole grid.
        sample_mm: distance between points along a beam.
    """
    coarse, broad = coarse[window], broad[window]
    if solid.warp_mm:
        gap += broad * np.float32(solid.warp_mm)
    share = gap * np.float32(-1.0 / solid.soft_mm)
    share += np.float32(0.5)
    np.clip(share, 0, 1, out=share)
    tissue = solid.tissue
    wanted = coarse * np.float32(tissue.coarse_db)
    wanted += broad * np.float32(tissue.broad_db)
    wanted += np.float32(tissue.level_db)
    _blend(slice_.level_db[window], wanted, share)
    _blend(slice_.loss_db_mm[window], np.float32(tissue.loss_db_mm), share)
    echo = slice_.echo[window]
    echo -= echo * share
    if solid.interface is None:
        return
    # The beam is reflected back by what it meets squarely: where the distance changes fastest along it.
    square = np.empty_like(gap)
    np.subtract(gap[:, 1:], gap[:, :-1], out=square[:, :-1])
    square[:, -1] = square[:, -2]
    square *= np.float32(1.0 / sample_mm)
    np.clip(square, -1, 1, out=square)
    square *= square
    square *= square
    interface = solid.interface
    square *= np.float32(1 - interface.diffuse)
    square += np.float32(interface.diffuse)
    square *= np.float32(10 ** (interface.level_db / 20))
    # No surface is even: its echo swells and fades along it.
    uneven = broad * np.float32(0.4)
    uneven += np.float32(0.9)
    np.clip(uneven, 0.1, 2, out=uneven)
    square *= uneven
    gap *= np.float32(1 / interface.width_mm)
    gap *= gap
    gap += np.float32(1)
    gap *= gap
    square /= gap
    echo += square


def _blend(field: NDArray[np.float32], wanted: Field | np.float32, share: Field) -> None:
    step = wanted - field
    step *= share
    field += step
