"""Parts that methods share: heads, momentum copies, queues, gathering across ranks, guards of batch normalisation."""

from usssl.methods.parts.batch_norm import CrossRankBatchNorm, in_groups, in_mixed_groups, synchronise_batch_norm
from usssl.methods.parts.gather import gather
from usssl.methods.parts.heads import mlp
from usssl.methods.parts.momentum import Momentum, momentum_at
from usssl.methods.parts.queue import KeyQueue

__all__ = [
    "CrossRankBatchNorm",
    "KeyQueue",
    "Momentum",
    "gather",
    "in_groups",
    "in_mixed_groups",
    "mlp",
    "momentum_at",
    "synchronise_batch_norm",
]
