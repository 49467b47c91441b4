"""Find the files of a folder that may be cines, and the label files beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usssl.data.labels import LABEL_FILES
from usssl.errors import UsageError

_NOT_CINES = frozenset(
    f".{ending}"
    for endings in (
        ("csv", "tsv", "txt", "md", "rst", "pdf", "html", "htm", "json", "jsonl", "yaml", "yml", "toml", "xml", "log"),
        ("xls", "xlsx", "doc", "docx", "py", "ipynb", "sh", "parquet", "arrow", "feather", "pkl", "mat", "h5", "hdf5"),
        ("zip", "gz", "tar", "7z", "wav", "mp3", "flac", "m4a", "onnx", "pt", "pth", "safetensors", "db"),
    )
    for ending in endings
)
_NAMES_NOT_CINES = frozenset(
    {"LICENSE", "LICENCE", "COPYING", "README", "NOTICE", "CITATION", "CHANGELOG", "DICOMDIR", "Makefile"}
)


@dataclass(frozen=True)
class Found:
    """A file that may be a cine.

    Attributes:
        folder: the folder that was asked for.
        path: the file relative to it, with forward slashes.
        size_bytes: its size.
        mtime_ns: when it was last changed, nanoseconds since 1970.
    """

    folder: str
    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What a walk through folders found.

    Attributes:
        found: possible cines, in order of folder and path.
        labels: label files by name ("labels.csv", …).
        skipped: how many files of each ending are plainly something else.
    """

    found: list[Found]
    labels: dict[str, list[Path]]
    skipped: dict[str, int]


def list_folders(folders: Sequence[str | Path]) -> Listing:
    """Walks the folders, once each, through links but never in circles.

    Raises:
        UsageError: a folder is missing or is not a folder.
    """
    found: dict[tuple[str, str], Found] = {}
    labels: dict[str, list[Path]] = {name: [] for name in LABEL_FILES}
    skipped: dict[str, int] = {}
    for folder in folders:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise UsageError(f"there is no folder {root}: check the path")
        root = root.resolve()
        for entry in _walk(root):
            path = Path(entry.path)
            if entry.name in labels:
                labels[entry.name].append(path)
            if _plainly_other(entry.name):
                ending = path.suffix.lower() or entry.name
                skipped[ending] = skipped.get(ending, 0) + 1
                continue
            facts = entry.stat()
            relative = path.relative_to(root).as_posix()
            found[(str(root), relative)] = Found(str(root), relative, facts.st_size, facts.st_mtime_ns)
    return Listing(list(found.values()), labels, skipped)


def _plainly_other(name: str) -> bool:
    return name in _NAMES_NOT_CINES or Path(name).suffix.lower() in _NOT_CINES


def _walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Regular files below a folder in order of their paths; hidden ones are left out."""
    seen: set[tuple[int, int]] = set()
    stack = [str(root)]
    while stack:
        folder = stack.pop()
        try:
            identity = Path(folder).stat()
            if (identity.st_dev, identity.st_ino) in seen:
                continue  # a link back to a folder above
            seen.add((identity.st_dev, identity.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file():
                yield entry
        stack.extend(entry.path for entry in reversed(entries) if not entry.name.startswith(".") and entry.is_dir())
