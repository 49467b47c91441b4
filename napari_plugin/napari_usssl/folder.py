"""The cines of one folder in the order of their names, for going through them one after another."""

from __future__ import annotations

import re
from pathlib import Path

from usssl.bundle.inputs import find_cines
from usssl.errors import UsageError


def cines_in(folder: Path) -> list[Path]:
    """The cines in a folder and in the folders below, in natural order; the same that `usssl predict` takes.

    Raises:
        UsageError: it is no folder, or holds no cine.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; check the path")
    found, _ = find_cines([folder], skip=folder / ".usssl")
    if not found:
        raise UsageError(f"{folder} holds no cine; choose a folder with DICOM, video or MetaImage files")
    return [file.path for file in sorted(found, key=lambda file: natural(file.name))]


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts "cine 2" before "cine 10"."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
