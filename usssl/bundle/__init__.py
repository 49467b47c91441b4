"""The exported model: metadata, session, inference over cines and folders. Needs no torch."""

from __future__ import annotations

from usssl.bundle.bundle import Bundle, open_bundle
from usssl.bundle.metadata import BundleMetadata
from usssl.bundle.prediction import Prediction, PredictionStoppedError

__all__ = ["Bundle", "BundleMetadata", "Prediction", "PredictionStoppedError", "open_bundle"]
