"""Projection heads and predictors: linear layers with a norm and ReLU between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn


def mlp(dims: Sequence[int], norm: Callable[[int], nn.Module] | None = None, *, bias: bool = True) -> nn.Sequential:
    """Linear layers from `dims[0]` to `dims[-1]`; norm and ReLU after each but the last.

    Args:
        dims: widths of input, hidden layers and output.
        norm: builds the norm of a width; none where None.
        bias: of the linear layers.
    """
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(dims)):
        layers.append(nn.Linear(before, after, bias=bias))
        if number < len(dims) - 2:
            layers += [norm(after)] if norm else []
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
