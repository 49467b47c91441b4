"""The one law by which a cine becomes the frames that a model is trained on; the store keeps its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from usssl.cine import Cine, open_cine, sector
from usssl.data.facts import reader_version
from usssl.errors import UsageError

StoreColor = Literal["grey", "rgb"]

WINDOW_FRAMES = 32
"""The box of the image is found on this many frames, evenly spread over the cine (all of them if it has fewer)."""

_HELD_BYTES = 1 << 28
_BATCH = 32


@dataclass(frozen=True)
class Framing:
    """How frames are made.

    Attributes:
        size: (height, width) of the result, in pixels.
        mask: blacken what is not ultrasound: text, traces and colour drawn over the image, and what lies outside it.
        color: `grey`, or `rgb` for methods that learn from colours, as of natural video.
    """

    size: tuple[int, int]
    mask: bool = False
    color: StoreColor = "grey"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise UsageError(f"size {self.size} is not (height, width) in pixels, both at least 1")
        if self.color not in ("grey", "rgb"):
            raise UsageError(f"color {self.color!r} is not one of grey, rgb")

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(height, width), and 3 for colour."""
        return self.size if self.color == "grey" else (*self.size, 3)

    @property
    def law(self) -> str:
        """A hash of all that makes frames what they are, code too: another version's are not taken for this one's."""
        height, width = self.size
        law = f"{reader_version()} {WINDOW_FRAMES} {int(height)}x{int(width)} {self.mask}"
        law += "" if self.color == "grey" else f" {self.color}"
        return hashlib.sha256(law.encode()).hexdigest()[:16]

    def frames(self, cine: Cine) -> tuple[sector.Window, Iterator[np.ndarray]]:
        """The window of a cine, and its frames cropped to it and resized.

        A short cine is decoded once; of a long one the frames that show the window are decoded twice, to bound memory.

        Args:
            cine: opened in the colour of the framing.

        Returns:
            The rectangle in pixels of the original frame, and batches of uint8 `(n, height, width[, 3])`, in order.

        Raises:
            CineError: a frame is damaged.
        """
        from usssl.cine.sector_mask import to_grey

        held = cine.read(range(len(cine))) if cine.nbytes <= _HELD_BYTES else None
        chosen = spread_frames(len(cine))
        box = sector.content_box(to_grey(cine.read(chosen) if held is None else held[chosen]))
        window = sector.crop_window(box, self.size)
        keep = _ultrasound(cine.source) if self.mask else None
        if keep is not None and cine.ndim == 4:
            keep = keep[..., None]

        def batches() -> Iterator[np.ndarray]:
            for start in range(0, len(cine), _BATCH):
                stop = min(start + _BATCH, len(cine))
                frames = cine.read(range(start, stop)) if held is None else held[start:stop]
                yield sector.resample(frames if keep is None else frames * keep, window, self.size)

        return window, batches()


def spread_frames(frames: int, count: int = WINDOW_FRAMES) -> np.ndarray:
    """At most `count` frame numbers spread evenly over a cine of `frames` frames, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(frames, count)).round().astype(np.int64))


def _ultrasound(path: Path) -> np.ndarray:
    """Where a cine shows ultrasound, bool `(height, width)`; colour tells, so it is opened in its own."""
    from usssl.cine.sector_mask import sector_mask

    with open_cine(path, threads=1) as cine:
        return sector_mask(cine)
