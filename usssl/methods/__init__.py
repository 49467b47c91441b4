"""The published pretraining methods, by name.

A third party adds one through the entry-point group `usssl.methods`; see `docs/methods`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from usssl.arguments import ClipArguments
from usssl.augment import ViewAugmentation
from usssl.errors import RecipeError
from usssl.methods import functional
from usssl.methods.base import Clips, Method, MethodArguments
from usssl.models import encoders
from usssl.models.encoders import Encoder

__all__ = ["Clips", "Method", "MethodArguments", "build", "functional", "get", "names"]


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="usssl.methods")}


def names() -> list[str]:
    """The names of all installed methods, sorted."""
    return sorted(_entry_points())


def get(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        RecipeError: no method of that name is installed.
    """
    if name not in _entry_points():
        raise RecipeError(f"unknown method {name!r}; installed are: {', '.join(names())}")
    method: type[Method] = _entry_points()[name].load()
    return method


def build(
    name: str,
    *,
    encoder: Encoder | None = None,
    clip: ClipArguments | None = None,
    augment: tuple[ViewAugmentation, ...] | None = None,
    **arguments: Any,
) -> Method:
    """Builds a method.

    Args:
        name: one of `names()`.
        encoder: the encoder to train; a SonoNet-16 for grey frames where None.
        clip: the clip it sees; 4 frames, 8 apart, of 112 x 144 where None.
        augment: one augmentation a view, in place of the method's own.
        arguments: the method's own arguments, as in a recipe's `method:` block.
    """
    kind = get(name)
    typed = kind.Arguments.model_validate({"name": name, **arguments})
    method = kind(encoder or encoders.build("sononet16"), clip or ClipArguments(), typed)  # type: ignore[call-arg]
    method.augment = augment
    return method
