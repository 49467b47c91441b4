"""Cosine similarity as a loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from usssl.methods.functional.precision import in_full_precision


@in_full_precision
def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """`-cos(p, z)`, mean over the batch: -1 where all pairs agree. Stop the gradient of `z` where the method does.

    Args:
        p: `(batch, dim)`.
        z: `(batch, dim)`.
    """
    return -functional.cosine_similarity(p, z, dim=-1).mean()


@in_full_precision
def cosine_distance(u: Tensor, v: Tensor) -> Tensor:
    """`d(u, v) = 2 - 2 cos(u, v)`, mean over the batch: 0 where they agree, 4 where they are opposite (methods/cep).

    Args:
        u: `(batch, dim)`.
        v: `(batch, dim)`.
    """
    return 2 - 2 * functional.cosine_similarity(u, v, dim=-1).mean()
