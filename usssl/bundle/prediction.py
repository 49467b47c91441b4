"""What a bundle says of one cine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usssl.bundle.metadata import BACKGROUND
from usssl.errors import UssslError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class PredictionStoppedError(UssslError):
    """The caller's `should_stop` said so before the cine was done."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The outputs of a bundle for one cine of T frames; None where the bundle lacks an output.

    Attributes:
        times: seconds of each frame from the first, (T,); NaN where the cine has no clock.
        classes: names of the C classes, in the order of the columns of `plane_probs`.
        window: rectangle (x0, y0, x1, y1), in pixels of the cine's frames, that the model saw and that a
            saliency map covers; it may reach past the frame.
        plane_probs: probability of each class in each frame, (T, C), rows sum to 1.
        saliency: a map for each frame, (T, h, w), each sums to 1.
        embedding: a vector for each frame, (T, D).
        cine_probs: probability of each class for the whole cine, (C,).
    """

    times: Float64
    classes: tuple[str, ...]
    window: tuple[float, float, float, float]
    plane_probs: Float32 | None = None
    saliency: Float32 | None = None
    embedding: Float32 | None = None
    cine_probs: Float32 | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def entropy(self) -> Float32 | None:
        """Shannon entropy of `plane_probs` in nats, (T,): 0 is certain, ln C knows nothing."""
        if self.plane_probs is None:
            return None
        p = self.plane_probs.astype(np.float64)
        return np.asarray(-(p * np.log(np.maximum(p, 1e-12))).sum(axis=1), np.float32)

    def best_frames(self) -> dict[str, tuple[int, float]]:
        """The frame at which each plane is most probable, and that probability; the background is no plane."""
        if self.plane_probs is None:
            return {}
        frames = self.plane_probs.argmax(axis=0)
        return {
            name: (int(frames[column]), float(self.plane_probs[frames[column], column]))
            for column, name in enumerate(self.classes)
            if name != BACKGROUND
        }
