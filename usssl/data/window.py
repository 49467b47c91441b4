"""The one law by which a cine becomes the grey frames that a model is trained on; the store keeps its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from usssl.cine import Cine, sector
from usssl.data.facts import reader_version

WINDOW_FRAMES = 32
"""The box of the image is found on this many frames, evenly spread over the cine (all of them if it has fewer)."""

_HELD_BYTES = 1 << 28
_BATCH = 32


def spread_frames(frames: int, count: int = WINDOW_FRAMES) -> np.ndarray:
    """At most `count` frame numbers spread evenly over a cine of `frames` frames, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(frames, count)).round().astype(np.int64))


def windowed(cine: Cine, size: tuple[int, int]) -> tuple[sector.Window, Iterator[np.ndarray]]:
    """The window of a cine, and its frames cropped to it and resized.

    A short cine is decoded once; of a long one the frames that show the window are decoded twice, to bound memory.

    Args:
        cine: opened in grey.
        size: (height, width) of the model's input, in pixels.

    Returns:
        The rectangle in pixels of the original frame, and batches of uint8 `(n, height, width)`, in order.

    Raises:
        CineError: a frame is damaged.
    """
    held = cine.read(range(len(cine))) if cine.nbytes <= _HELD_BYTES else None
    chosen = spread_frames(len(cine))
    window = sector.crop_window(sector.content_box(cine.read(chosen) if held is None else held[chosen]), size)

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(cine), _BATCH):
            stop = min(start + _BATCH, len(cine))
            frames = cine.read(range(start, stop)) if held is None else held[start:stop]
            yield sector.resample(frames, window, size)

    return window, batches()


def law() -> str:
    """A hash of the code of reading and cropping: frames that another version prepared are not taken for this one's."""
    return hashlib.sha256(f"{reader_version()} {WINDOW_FRAMES}".encode()).hexdigest()[:16]
