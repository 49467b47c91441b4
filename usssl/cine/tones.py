"""From samples of any integer depth to display bytes, for formats that say nothing of how they are to be shown."""

from __future__ import annotations

import numpy as np


def to_display(samples: np.ndarray) -> np.ndarray:
    """Maps the whole range of the sample type to 0–255, the same for every frame.

    Args:
        samples: uint8, int8, uint16, int16 or bool, any shape.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: for any other type, whose range is not known.
    """
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if samples.dtype.kind == "i" and samples.dtype.itemsize <= 2:
        unsigned = samples.astype(samples.dtype.newbyteorder("=")).view(f"u{samples.dtype.itemsize}")
        samples = unsigned ^ unsigned.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
        if samples.dtype == np.uint8:
            return samples
    if samples.dtype.kind == "u" and samples.dtype.itemsize == 2:
        return np.rint(samples / 257.0).astype(np.uint8)
    raise ValueError(f"samples of type {samples.dtype} have no known range; save them as 8 or 16 bits")
