"""The exported model: metadata, session, inference over cines and folders. Needs no torch.

Names load where they are first used, so that `import usssl.bundle` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usssl.bundle.bundle import Bundle, open_bundle
    from usssl.bundle.folder import PredictionReport, predict_folder
    from usssl.bundle.metadata import BundleMetadata
    from usssl.bundle.prediction import Prediction, PredictionStoppedError

_HOMES = {
    "Bundle": "bundle",
    "BundleMetadata": "metadata",
    "Prediction": "prediction",
    "PredictionReport": "folder",
    "PredictionStoppedError": "prediction",
    "open_bundle": "bundle",
    "predict_folder": "folder",
}

__all__ = [
    "Bundle",
    "BundleMetadata",
    "Prediction",
    "PredictionReport",
    "PredictionStoppedError",
    "open_bundle",
    "predict_folder",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"usssl.bundle.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'usssl.bundle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
