"""What other packages add by entry points: found by name without an import, imported where it is first used."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from usssl.errors import RecipeError


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names, one of each; none is imported."""
    return {point.name: point for point in entry_points(group=group)}


@cache
def _packages(group: str, name: str) -> list[str]:
    """The packages that name an entry point so."""
    return sorted(_package(point) for point in entry_points(group=group, name=name))


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def load(group: str, name: str) -> Any:
    """What an entry point names.

    Raises:
        RecipeError: it cannot be imported, or several packages use the name.
    """
    packages = _packages(group, name)
    if len(packages) > 1:
        raise RecipeError(
            f"{name!r} is an entry point of {group} in {' and in '.join(packages)}: which one is meant cannot be told; "
            "uninstall the others"
        )
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
    where = f"{name!r} of {_package(point)} (entry point of {group})"
    return RecipeError(f"{where} is faulty: {point.value} {cause}; mend or uninstall that package")
