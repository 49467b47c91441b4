"""Grey levels to what networks like: about zero mean and unit variance, by fixed statistics."""

from __future__ import annotations

from torch import Tensor

GREY_MEAN = 48.0
"""Grey level that becomes 0. Fixed: a clip's own mean would tell how much of it lies outside the sector."""

GREY_STD = 48.0
"""Grey levels that become 1."""


def normalise(frames: Tensor) -> Tensor:
    """Normalises grey levels 0 to 255 of any shape; float32."""
    return (frames.float() - GREY_MEAN) / GREY_STD
