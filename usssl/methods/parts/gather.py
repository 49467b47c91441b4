"""Rows of all ranks as one batch, with gradient.

A loss of gathered rows, computed by every rank and averaged over ranks as DistributedDataParallel averages gradients,
has the gradient of one process with the whole batch: the backward pass adds up what all ranks send to a row.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def ranks() -> int:
    """How many processes train together; 1 without `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if ranks() > 1 else 0


def gather(rows: Tensor) -> Tensor:
    """The rows of all ranks, in the order of ranks; gradient flows back to the rank that a row came from.

    Args:
        rows: `(batch, …)`, the same shape on every rank.

    Returns:
        `(ranks * batch, …)`; the rows themselves where there is one rank.
    """
    if ranks() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def own(rows: Tensor) -> Tensor:
    """This rank's part of gathered rows."""
    return rows.unflatten(0, (ranks(), -1))[rank()]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(ranks())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return own(gradient)
