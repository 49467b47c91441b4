"""usssl learns from unlabelled ultrasound video; see `docs/architecture.md`.

Heavy imports happen where a name is first used: `import usssl` loads neither torch nor napari.
For research use; not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from usssl import methods, tasks
    from usssl.bundle import open_bundle
    from usssl.cine import open_cine
    from usssl.data import read_catalog
    from usssl.engine.evaluation import evaluate
    from usssl.engine.exporting import export
    from usssl.engine.finetuning import finetune
    from usssl.engine.pretraining import pretrain

_HOMES = {
    "open_cine": "usssl.cine",
    "open_bundle": "usssl.bundle",
    "read_catalog": "usssl.data",
    "pretrain": "usssl.engine",
    "finetune": "usssl.engine",
    "evaluate": "usssl.engine",
    "export": "usssl.engine",
}
_ROOMS = ("methods", "tasks")

__all__ = [
    "__version__",
    "evaluate",
    "export",
    "finetune",
    "methods",
    "open_bundle",
    "open_cine",
    "pretrain",
    "read_catalog",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"usssl.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'usssl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
