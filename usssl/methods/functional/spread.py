"""Whether features are spread out or collapsed: their deviation, their effective rank, their neighbours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from usssl.methods.functional.precision import in_full_precision


@in_full_precision
def feature_std(features: Tensor) -> Tensor:
    """Standard deviation of normalised features over the batch, times `sqrt(dim)`: about 1 spread out, 0 collapsed.

    The measure of Chen and He, CVPR 2021 (SimSiam), scaled so that it does not depend on the dimension.

    Args:
        features: `(batch, dim)`, at least two rows.
    """
    unit = functional.normalize(features, dim=1)
    return torch.linalg.vector_norm(unit - unit.mean(dim=0)) / len(unit) ** 0.5


@in_full_precision
def effective_rank(features: Tensor) -> Tensor:
    """How many dimensions the features use: the exponential of the entropy of their singular values.

    Roy and Vetterli, EUSIPCO 2007, on features less their mean. 1 where they lie on a line; 0 where all are equal.

    Args:
        features: `(batch, dim)`.
    """
    centred = (features - features.mean(dim=0)).double()
    # Singular values as roots of the eigenvalues of the smaller product: a fifth of the time of an SVD.
    product = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().to(features.dtype)
    total = values.sum()
    if total <= 1e-6 * features.norm().clamp(min=1e-12):
        return torch.zeros_like(total)
    share = values / total
    return torch.exp(-torch.xlogy(share, share).sum())


@in_full_precision
def same_group_neighbours(features: Tensor, groups: Tensor) -> Tensor:
    """The share of rows whose nearest other row, by cosine, is of the same group; of those that have one.

    Args:
        features: `(batch, dim)`.
        groups: `(batch,)`, for example which cine each row was taken from.

    Returns:
        A share, 0 to 1; NaN where no group has two rows.
    """
    unit = functional.normalize(features, dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = groups[similarity.argmax(dim=1)]
    _, group, sizes = groups.unique(return_inverse=True, return_counts=True)
    has_partner = sizes[group] > 1
    return (nearest == groups)[has_partner].to(unit.dtype).mean()
