"""order_transform's transformation of a clip, told from which place of one view looks like which place of the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_GRID = (5, 6)  # places between which likeness is looked for
PLACES = _GRID[0] * _GRID[1]
"""Places of a clip; `correlation` gives a number for each pair of one of the clip's and one of its copy's."""


class TransformHead(nn.Module):
    """Regresses the transformation between two clips from which place of one looks like which place of the other.

    The correlation of two feature maps, and a regression on it, is the network of Rocco et al., CVPR 2017, for affine
    transformations between images; the paper of this method does not state its own.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.regress = nn.Sequential(
            nn.LayerNorm(PLACES**2),
            nn.Linear(PLACES**2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 6),
            nn.Tanh(),
        )

    def forward(self, clip: Tensor, transformed: Tensor) -> Tensor:
        """The encoded transformation `(batch, 6)` from feature maps `(batch, K, dim, h, w)` of both clips."""
        found: Tensor = self.regress(correlation(clip, transformed))
        return found


def correlation(clip: Tensor, transformed: Tensor) -> Tensor:
    """How alike each place of one clip and each of the other are, mean over frames: `(batch, places * places)`.

    Args:
        clip: feature maps `(batch, K, dim, h, w)`.
        transformed: of the same shape.
    """
    alike = torch.einsum("bkdp,bkdq->bpq", _places(clip), _places(transformed)) / clip.shape[1]
    return alike.flatten(1)


def _places(maps: Tensor) -> Tensor:
    """Unit feature vectors on a coarse grid, `(batch, K, dim, places)`; what all places share is taken away."""
    grid = nn.functional.adaptive_avg_pool2d(maps.flatten(0, 1), _GRID).flatten(2)
    return nn.functional.normalize(grid - grid.mean(dim=2, keepdim=True), dim=1).unflatten(0, maps.shape[:2])
