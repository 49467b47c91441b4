"""The saliency task: where a sonographer looks, as a map for each frame (protocol of Droste et al., IPMI 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usssl.tasks.saliency_gaze import gaze_map, soft_argmax
from usssl.tasks.saliency_metrics import SaliencyScores, auc_judd, auc_shuffled, cc, kld, nss, score, sim

if TYPE_CHECKING:
    from usssl.tasks.saliency_maps import Saliency

__all__ = [
    "Saliency",
    "SaliencyScores",
    "auc_judd",
    "auc_shuffled",
    "cc",
    "gaze_map",
    "kld",
    "nss",
    "score",
    "sim",
    "soft_argmax",
]


def __getattr__(name: str) -> Any:
    """The task itself needs torch; the metrics do not."""
    if name == "Saliency":
        from usssl.tasks.saliency_maps import Saliency

        return Saliency
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
