"""Training, evaluation and export: MONAI trainers, handlers, checkpoints, protocols.

Names load where they are first used, so that a part that needs no torch never loads it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usssl.engine.evaluation import evaluate
    from usssl.engine.exporting import export
    from usssl.engine.finetuning import finetune
    from usssl.engine.pretraining import pretrain

_HOMES = {
    "evaluate": "usssl.engine.evaluation",
    "export": "usssl.engine.exporting",
    "finetune": "usssl.engine.finetuning",
    "pretrain": "usssl.engine.pretraining",
}

__all__ = ["evaluate", "export", "finetune", "pretrain"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'usssl.engine' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from usssl.errors import UsageError

        if error.name in ("torch", "monai", "ignite", "onnx", "safetensors", "sklearn", "matplotlib", "jinja2"):
            raise UsageError(f"training needs {error.name}; install it with: pip install 'usssl[train]'") from None
        raise
