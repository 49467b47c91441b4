"""order_transform's sequential variant: one feature of the original and the transformed, shuffled clip, split in two.

Jiao et al., ISBI 2020, draw it so: one net receives both clips, one part of its feature vector tells the
transformation, the other the corrected clip (methods/order_transform, Architecture, b). Widths and fusion are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DisentangleHead(nn.Module):
    """Tells transformation and order from the two parts of one feature vector.

    Args:
        places: numbers in the correlation of the two clips.
        pairs: numbers that describe all pairs of shown frames.
        hidden: width of each part.
        classes: of orders.
        dropout: before the order classifier.
    """

    def __init__(self, places: int, pairs: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(places)
        self.of_both = nn.Linear(places, 2 * hidden)
        self.of_shown = nn.Linear(pairs, 2 * hidden)
        self.transform = nn.Sequential(nn.Linear(hidden, 6), nn.Tanh())
        self.order = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, correlation: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """The encoded transformation and the order scores.

        Args:
            correlation: `(batch, places)` which place of the original clip looks like which place of the shown one.
            shown: `(batch, orders, pairs)` pairs of frames in the order in which they are shown.

        Returns:
            `(batch, orders, 6)` and `(batch, orders, classes)`.
        """
        feature = torch.relu(self.of_both(self.norm(correlation))[:, None] + self.of_shown(shown))
        transform, order = feature.chunk(2, dim=-1)
        return self.transform(transform), self.order(order)
