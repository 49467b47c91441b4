"""Generators of labelled sample cines: a simulated fetus, scanned by a simulated hand.

`generate_samples` writes a folder of cines with labels; `simulate_cine` gives one in memory. Names load where they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usssl.phantom.fetus import Fetus
    from usssl.phantom.gaze import Gaze
    from usssl.phantom.planes import BACKGROUND, PLANES, StandardPlane
    from usssl.phantom.probe import ProbePath
    from usssl.phantom.samples import KINDS, generate_samples
    from usssl.phantom.scanner import Scanner, Settings
    from usssl.phantom.scene import Scene, sample_scene
    from usssl.phantom.sector import Sector
    from usssl.phantom.simulation import Patient, SimulatedCine, film, sample_patient, simulate_cine

_HOMES = {
    "BACKGROUND": "planes",
    "Fetus": "fetus",
    "Gaze": "gaze",
    "KINDS": "samples",
    "PLANES": "planes",
    "Patient": "simulation",
    "ProbePath": "probe",
    "Scanner": "scanner",
    "Scene": "scene",
    "Sector": "sector",
    "Settings": "scanner",
    "SimulatedCine": "simulation",
    "StandardPlane": "planes",
    "film": "simulation",
    "generate_samples": "samples",
    "sample_patient": "simulation",
    "sample_scene": "scene",
    "simulate_cine": "simulation",
}

__all__ = [
    "BACKGROUND",
    "KINDS",
    "PLANES",
    "Fetus",
    "Gaze",
    "Patient",
    "ProbePath",
    "Scanner",
    "Scene",
    "Sector",
    "Settings",
    "SimulatedCine",
    "StandardPlane",
    "film",
    "generate_samples",
    "sample_patient",
    "sample_scene",
    "simulate_cine",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"usssl.phantom.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'usssl.phantom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
