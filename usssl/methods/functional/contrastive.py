"""InfoNCE with in-batch, queue and extra negatives, its multi-positive form, and NT-Xent."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from usssl.methods.functional.precision import in_full_precision

Reduction = Literal["mean", "sum", "none"]


def info_nce(
    query: Tensor,
    key: Tensor,
    temperature: float,
    negatives: Tensor | None = None,
    *,
    extra: Tensor | None = None,
    allowed: Tensor | None = None,
    normalise: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`-log softmax` of each query's own key among keys and negatives (van den Oord et al. 2018, arXiv 1807.03748).

    Args:
        query: `(batch, dim)`.
        key: `(batch, dim)`; row i is the positive of query i.
        temperature: tau, above 0.
        negatives: `(count, dim)` shared by all queries, such as a queue; where None, the other rows of `key`.
        extra: `(batch, own, dim)` further negatives, of each query by itself.
        allowed: bool `(batch, count)`, or `(batch, batch)` without `negatives`: which of them count for which query.
            The query's own key always does.
        normalise: to unit length first; switch it off where the inputs are so already.
        reduction: the mean over queries, their sum, or `(batch,)`.
    """
    logits = info_nce_logits(query, key, temperature, negatives, extra=extra, allowed=allowed, normalise=normalise)
    own = torch.arange(len(logits), device=logits.device) if negatives is None else logits.new_zeros(len(logits)).long()
    return functional.cross_entropy(logits, own, reduction=reduction)


@in_full_precision
def info_nce_logits(
    query: Tensor,
    key: Tensor,
    temperature: float,
    negatives: Tensor | None = None,
    *,
    extra: Tensor | None = None,
    allowed: Tensor | None = None,
    normalise: bool = True,
) -> Tensor:
    """The similarities over the temperature that `info_nce` takes the softmax of; arguments as there.

    Returns:
        With `negatives`: `(batch, 1 + count + own)`, the own key first, then the negatives, then the extra ones.
        Without: `(batch, batch + own)`, the own key on the diagonal.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    if normalise:
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        negatives = None if negatives is None else functional.normalize(negatives, dim=-1)
        extra = None if extra is None else functional.normalize(extra, dim=-1)
    if negatives is None:
        shared = query @ key.T
        if allowed is not None:
            diagonal = torch.eye(len(query), dtype=torch.bool, device=query.device)
            shared = shared.masked_fill(~(allowed | diagonal), -torch.inf)
        parts = [shared]
    else:
        shared = query @ negatives.to(query.dtype).T
        if allowed is not None:
            shared = shared.masked_fill(~allowed, -torch.inf)
        parts = [(query * key).sum(dim=-1, keepdim=True), shared]
    if extra is not None:
        parts.append(torch.einsum("bd,bnd->bn", query, extra))
    return torch.cat(parts, dim=1) / temperature


@in_full_precision
def multi_positive_info_nce(
    queries: Tensor,
    key: Tensor,
    temperature: float,
    negatives: Tensor,
    *,
    allowed: Tensor | None = None,
    normalise: bool = True,
) -> Tensor:
    """Several queries of one key in one joint softmax (methods/cep, L_A): summed over queries, mean over the batch.

    With S queries and K negatives the softmax has S + S K terms; each positive competes with the other ones.

    Args:
        queries: `(batch, S, dim)`.
        key: `(batch, dim)`.
        temperature: tau, above 0.
        negatives: `(K, dim)`.
        allowed: bool `(batch, K)`: which negatives count for which sample.
        normalise: to unit length first.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    if normalise:
        queries, key, negatives = (functional.normalize(x, dim=-1) for x in (queries, key, negatives))
    positive = torch.einsum("bsd,bd->bs", queries, key) / temperature
    negative = queries @ negatives.to(queries.dtype).T / temperature
    if allowed is not None:
        negative = negative.masked_fill(~allowed[:, None], -torch.inf)
    total = torch.cat([positive, negative.flatten(1)], dim=1).logsumexp(dim=1)
    return (total[:, None] - positive).sum(dim=1).mean()


@in_full_precision
def nt_xent(z1: Tensor, z2: Tensor, temperature: float, *, reduction: Reduction = "mean") -> Tensor:
    """Normalised-temperature cross-entropy of two views: each row's partner among the 2N - 1 other rows.

    Chen et al., ICML 2020 (SimCLR). CVRL's released code sums the means of the two directions, which is twice the mean
    over the 2N rows and so doubles the effective learning rate (methods/cvrl, Loss).

    Args:
        z1: `(N, dim)`, of any length; they are normalised.
        z2: `(N, dim)`; row i is the partner of row i of `z1`.
        temperature: tau, above 0.
        reduction: `mean` over the 2N rows; `sum` of the two directions' means; `none`: `(2N,)`, first the rows of `z1`.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    count = len(z1)
    # Both factors of a product carry 1 / sqrt(tau): that spares a pass over the 2N x 2N similarities.
    z = functional.normalize(torch.cat([z1, z2]), dim=1) / math.sqrt(temperature)
    total = (z @ z.T).fill_diagonal_(-torch.inf).logsumexp(dim=1)
    own = (z[:count] * z[count:]).sum(dim=1).repeat(2)
    if reduction == "none":
        return total - own
    mean = (total - own).mean()
    return 2 * mean if reduction == "sum" else mean
