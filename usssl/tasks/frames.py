"""Views for labelled training, of single frames or of clips around them: mild geometry and tone.

As in Droste et al., IPMI 2019, with one draw for all frames of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.geometry import about_centre, affine_matrix, compose, inverse, resize_matrix
from usssl.augment.seeds import Seeds
from usssl.augment.tone import GreyTone
from usssl.augment.warp import warp
from usssl.models.normalise import normalise


@dataclass(frozen=True)
class FrameAugmentation:
    """Flip, rotation, aspect, crop, gamma and brightness, one draw a clip.

    Attributes:
        flip: probability of a mirror image.
        rotation: largest angle either way, degrees.
        aspect: largest relative stretch of the width either way.
        crop: smallest part of the frame that is shown, in each direction.
        tone: largest relative change of brightness and gamma.
    """

    flip: float = 0.5
    rotation: float = 10.0
    aspect: float = 0.1
    crop: float = 0.95
    tone: float = 0.25

    def matrices(self, seeds: Seeds, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Maps pixels of the views onto pixels of the source: `(rows, 2, 3)`."""
        rows = len(seeds)
        zeros = torch.zeros(rows, dtype=torch.float64)
        angle = seeds.uniform("rotation", -self.rotation, self.rotation)
        zoom = 1 / seeds.uniform("crop", self.crop, 1.0)
        matrix = affine_matrix(angle, zoom, zeros)
        stretch = seeds.uniform("aspect", 1 - self.aspect, 1 + self.aspect)
        mirror = torch.where(seeds.chance("flip", self.flip), -1.0, 1.0)
        matrix = matrix * torch.stack([stretch * mirror, torch.ones_like(zeros)], dim=1)[:, None, :]
        return compose(inverse(about_centre(matrix, source)), resize_matrix(source, size, rows))

    def views(self, clips: Tensor, matrices: Tensor, seeds: Seeds, size: tuple[int, int]) -> Tensor:
        """Normalised views `(rows, time, channels, *size)` of clips uint8 `(rows, time, channels, H, W)`."""
        batch = ClipBatch(clips)
        tone = GreyTone(brightness=self.tone, contrast=0.0, gamma=self.tone)
        return normalise(tone.apply(warp(batch.pixels, matrices, size), tone.sample(batch, seeds.child("tone"))))


def plain_views(clips: Tensor, size: tuple[int, int]) -> Tensor:
    """Normalised views `(rows, time, channels, *size)` of whole frames uint8 `(rows, time, channels, H, W)`."""
    source = (clips.shape[3], clips.shape[4])
    return normalise(warp(clips, resize_matrix(source, size, len(clips)), size))


def channels_first(frames: np.ndarray) -> np.ndarray:
    """Frames of a store, `(n, H, W)` or `(n, H, W, 3)`, as `(n, channels, H, W)`."""
    return frames[:, None] if frames.ndim == 3 else np.ascontiguousarray(np.moveaxis(frames, -1, 1))
