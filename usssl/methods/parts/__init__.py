"""Parts that methods share: heads, momentum copies, queues, gathering across ranks, guards of batch normalisation."""

from usssl.methods.parts.batch_norm import CrossRankBatchNorm, encode_keys, in_groups, synchronise_batch_norm
from usssl.methods.parts.gather import gather
from usssl.methods.parts.heads import mlp
from usssl.methods.parts.momentum import Momentum, momentum_at
from usssl.methods.parts.queue import KeyQueue

__all__ = [
    "CrossRankBatchNorm",
    "KeyQueue",
    "Momentum",
    "encode_keys",
    "gather",
    "in_groups",
    "mlp",
    "momentum_at",
    "synchronise_batch_norm",
]
