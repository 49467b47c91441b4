"""The published pretraining methods, by name.

A third party adds one through the entry-point group `usssl.methods`; see `docs/methods`.
"""

from __future__ import annotations

from typing import Any

from usssl import extensions
from usssl.arguments import ClipArguments
from usssl.augment import ViewAugmentation
from usssl.errors import RecipeError
from usssl.methods import functional
from usssl.methods.base import Clips, Method, MethodArguments
from usssl.models import encoders
from usssl.models.encoders import Encoder

__all__ = ["Clips", "Method", "MethodArguments", "build", "functional", "get", "names"]

_GROUP = "usssl.methods"


def names() -> list[str]:
    """The names of all installed methods, sorted; none is imported."""
    return sorted(extensions.entries(_GROUP))


def get(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        RecipeError: no method of that name is installed, or what is installed is none.
    """
    if name not in extensions.entries(_GROUP):
        raise RecipeError(f"unknown method {name!r}; installed are: {', '.join(names())}")
    method = extensions.load(_GROUP, name)
    if not _derives(method, Method):
        raise extensions.faulty(_GROUP, name, "is no class derived from usssl.methods.Method")
    if not _derives(getattr(method, "Arguments", None), MethodArguments):
        raise extensions.faulty(_GROUP, name, "has no Arguments derived from usssl.methods.MethodArguments")
    found: type[Method] = method
    return found


def _derives(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


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
