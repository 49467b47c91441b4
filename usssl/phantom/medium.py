"""The medium that every phantom is filled with: one periodic block of scatterers and of texture.

Scatterers keep their place in the tissue, so that speckle moves with it and changes as the image plane leaves it,
as real speckle does.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.poses import Frame, Pose
from usssl.phantom.solids import Field

SIDE = 128
"""Voxels along an edge of the block; a power of two, so that wrapping is a bit mask."""

VOXEL_MM = 0.55

_BLUR_MM = 0.5
_COARSE_MM = 3.0
_BROAD_MM = 8.0


@cache
def block() -> NDArray[np.complex128]:
    """The block, flattened, `(SIDE ** 3,)`: each item packs four float32.

    They are the real and imaginary part of the scatterers (complex Gaussian, mean square 1), and two textures (real
    Gaussian, mean 0, variance 1) with correlation lengths of some 3 and 8 mm. They are packed since one fetch of
    16 bytes is faster than two of 8.
    """
    generator = np.random.default_rng(20)
    channels = np.empty((SIDE, SIDE, SIDE, 4), np.float32)
    for index, blur in enumerate((_BLUR_MM, _BLUR_MM, _COARSE_MM, _BROAD_MM)):
        channels[..., index] = _smooth_noise(generator, blur / VOXEL_MM)
    channels[..., :2] *= np.float32(np.sqrt(0.5))
    return channels.reshape(-1).view(np.complex128)


def _smooth_noise(generator: np.random.Generator, sigma: float) -> Field:
    """Periodic Gaussian noise of variance 1, smoothed by a Gaussian of `sigma` voxels."""
    noise = generator.standard_normal((SIDE, SIDE, SIDE), dtype=np.float32)
    full = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(SIDE)) ** 2)
    half = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(SIDE)) ** 2)
    spectrum = np.fft.rfftn(noise) * full[:, None, None] * full[None, :, None] * half[None, None]
    smooth = np.fft.irfftn(spectrum, s=noise.shape, axes=(0, 1, 2)).astype(np.float32)
    smooth -= smooth.mean()
    smooth /= smooth.std()
    return smooth


def places(
    pose: Pose, medium: Frame, lateral: Field, axial: Field, squeeze: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> NDArray[np.int64]:
    """Which items of the block lie at the points of an image plane.

    Args:
        pose: the image plane, in outer space.
        medium: where the block lies in outer space; it moves with the tissue.
        lateral: millimetres to the right in the image, any shape.
        axial: millimetres into the body, same shape.
        squeeze: how much denser the block is along each axis of the medium, which makes its texture flatter there.
    """
    density = np.array(squeeze) / VOXEL_MM
    seen = pose.seen_from(medium)
    start = seen.origin * density
    # Far from the origin of the block, so that truncation is rounding down.
    start = np.mod(start, SIDE) + 8 * SIDE
    across, into = seen.lateral * density, seen.axial * density
    index: NDArray[np.int32] | None = None
    for axis in range(3):
        coordinate = lateral * np.float32(across[axis])
        coordinate += axial * np.float32(into[axis])
        coordinate += np.float32(start[axis])
        voxel = coordinate.astype(np.int32)
        voxel &= SIDE - 1
        if index is None:
            index = voxel
        else:
            index *= SIDE
            index += voxel
    assert index is not None
    return index.astype(np.intp)


def scatterers_and_texture(index: NDArray[np.int64]) -> NDArray[np.float32]:
    """The four channels of the block at these items, `(*index.shape, 4)`."""
    return block().take(index).view(np.float32).reshape(*index.shape, 4)
