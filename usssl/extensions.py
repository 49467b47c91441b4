"""What other packages add by entry points: found by name without an import, imported where it is first used."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from usssl.errors import RecipeError


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names; none is imported."""
    return {point.name: point for point in entry_points(group=group)}


def load(group: str, name: str) -> Any:
    """What an entry point names.

    Raises:
        RecipeError: it cannot be imported.
    """
    try:
        return entries(group)[name].load()
    except Exception as error:  # whatever another's code raises
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise faulty(group, name, f"cannot be imported ({cause})") from error


def faulty(group: str, name: str, cause: str) -> RecipeError:
    """The error that names entry point, distribution and cause.

    Args:
        group: of the entry point.
        name: of the entry point.
        cause: goes on after the object's name, such as "is no method".
    """
    point = entries(group)[name]
    package = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    where = f"{name!r} of {package} (entry point of {group})"
    return RecipeError(f"{where} is faulty: {point.value} {cause}; mend or uninstall that package")
