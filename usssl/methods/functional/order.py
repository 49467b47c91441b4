"""order_transform: classes of orders, and the losses of order and of transformation (methods/order_transform, Loss)."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from usssl.methods.functional.precision import in_full_precision


def order_classes(frames: int) -> list[tuple[int, ...]]:
    """The permutations of `frames` frames with each merged with its reverse, in lexicographic order.

    Forward and backward play count as equal (Jiao et al., ISBI 2020), so 4 frames give 4!/2 = 12 classes.
    """
    if frames < 2:
        raise ValueError(f"an order needs at least 2 frames, not {frames}")
    return [p for p in permutations(range(frames)) if p < p[::-1]]


def order_label(permutation: tuple[int, ...]) -> int:
    """The class of a permutation: the rank of the smaller of it and its reverse among all such minima.

    Args:
        permutation: `permutation[k]` is the true index of the frame shown at slot k.
    """
    return _ranks(len(permutation))[min(permutation, permutation[::-1])]


@cache
def _ranks(frames: int) -> dict[tuple[int, ...], int]:
    return {classed: rank for rank, classed in enumerate(order_classes(frames))}


@in_full_precision
def order_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the order classes, mean over clips.

    Args:
        logits: `(batch, classes)`.
        labels: `(batch,)`, from `order_label`.
    """
    return functional.cross_entropy(logits, labels)


@in_full_precision
def transform_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of the encoded transformation, mean over clips and over its components.

    Args:
        prediction: `(batch, 6)`.
        target: `(batch, 6)`, encoded to [-1, 1].
    """
    return torch.mean((prediction - target) ** 2)
