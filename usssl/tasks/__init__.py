"""Tasks (labelled uses of a model) and their metrics; each module loads where its name is first used."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

from usssl.errors import RecipeError

if TYPE_CHECKING:
    from usssl.tasks.base import Task

_TASKS = {"planes": "Planes", "saliency": "Saliency"}


def names() -> list[str]:
    """The names of all tasks, sorted."""
    return sorted(_TASKS)


def get(name: str) -> type[Task]:
    """The class of a task.

    Raises:
        RecipeError: there is no task of that name.
    """
    if name not in _TASKS:
        raise RecipeError(f"unknown task {name!r}; known are: {', '.join(names())}")
    task: type[Task] = getattr(importlib.import_module(f"{__name__}.{name}"), _TASKS[name])
    return task


def __getattr__(name: str) -> ModuleType:
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
