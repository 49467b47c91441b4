"""The mathematics of the methods: pure functions of tensors, without state, device or distribution.

All of them work in float32 (float64 where they are given it) whatever autocast or the inputs say, because exponentials
of similarities over a temperature of 0.07 do not survive bf16.
"""

from usssl.methods.functional.contrastive import info_nce, info_nce_logits, multi_positive_info_nce, nt_xent
from usssl.methods.functional.cycle import cycle_terms, prediction_terms
from usssl.methods.functional.order import order_classes, order_label, order_loss, transform_loss
from usssl.methods.functional.similarity import cosine_distance, negative_cosine
from usssl.methods.functional.spread import effective_rank, feature_std, same_group_neighbours

__all__ = [
    "cosine_distance",
    "cycle_terms",
    "effective_rank",
    "feature_std",
    "info_nce",
    "info_nce_logits",
    "multi_positive_info_nce",
    "negative_cosine",
    "nt_xent",
    "order_classes",
    "order_label",
    "order_loss",
    "prediction_terms",
    "same_group_neighbours",
    "transform_loss",
]
