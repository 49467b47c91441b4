"""Find what may be a cine in some folders, and the label files beside the cines.

Only names are looked at here; what a file really is, its content tells when it is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
_STILLS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_LAST_NUMBER = re.compile(r"^(.*?)(\d+)$")
_LEAST_SEQUENCE = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a folder of numbered images, that may be a cine.

    Attributes:
        folder: the folder that was asked for.
        path: the file or folder relative to it, with forward slashes.
        size_bytes: its size; of a folder, of all its images.
        mtime_ns: when it was last changed, nanoseconds since 1970; of a folder, its latest image.
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
        closed: folders that could not be listed, with the reason.
    """

    found: list[Found] = field(default_factory=list)
    labels: dict[str, list[Path]] = field(default_factory=lambda: {name: [] for name in LABEL_FILES})
    skipped: dict[str, int] = field(default_factory=dict)
    closed: list[tuple[str, str, str]] = field(default_factory=list)


def list_folders(folders: Sequence[str | Path]) -> Listing:
    """Walks the folders, once each, through links but never in circles; hidden files are left out.

    Raises:
        UsageError: a folder is missing or is not a folder.
    """
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise UsageError(f"there is no folder {root}: check the path")
        root = root.resolve()
        for relative, entries in _walk(str(root), seen, listing):
            _sort_out(str(root), relative, entries, listing)
    return listing


def _walk(root: str, seen: set[tuple[int, int]], listing: Listing) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder's path below the root and its files, in order of their names."""
    stack = [""]
    while stack:
        relative = stack.pop()
        folder = Path(root, relative)
        try:
            identity = folder.stat()
            if (identity.st_dev, identity.st_ino) in seen:
                continue  # a link back, or a folder that was asked for twice
            seen.add((identity.st_dev, identity.st_ino))
            entries = sorted((e for e in os.scandir(folder) if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            listing.closed.append((root, relative or ".", f"the folder cannot be listed: {error.strerror or error}"))
            continue
        yield relative, [entry for entry in entries if not entry.is_dir()]
        stack.extend(_below(relative, entry.name) for entry in reversed(entries) if entry.is_dir())


def _sort_out(root: str, relative: str, entries: Sequence[os.DirEntry[str]], listing: Listing) -> None:
    """Tells cines, label files and other files of one folder apart."""
    candidates = []
    labelled = False
    for entry in entries:
        if entry.name in listing.labels:
            listing.labels[entry.name].append(Path(entry.path))
            labelled = True
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122  100,000 names
        if entry.name in _NAMES_NOT_CINES or ending in _NOT_CINES:
            listing.skipped[ending or entry.name] = listing.skipped.get(ending or entry.name, 0) + 1
        else:
            candidates.append(entry)
    if not labelled and relative and is_sequence([entry.name for entry in candidates]):
        facts = [entry.stat() for entry in candidates]
        size, latest = sum(fact.st_size for fact in facts), max(fact.st_mtime_ns for fact in facts)
        listing.found.append(Found(root, relative, size, latest))
        return
    for entry in candidates:
        path = _below(relative, entry.name)
        try:
            facts_of = entry.stat()
        except OSError as error:
            listing.closed.append((root, path, (error.strerror or str(error)).lower()))  # such as a dangling link
            continue
        listing.found.append(Found(root, path, facts_of.st_size, facts_of.st_mtime_ns))


def is_sequence(names: Sequence[str]) -> bool:
    """Whether file names are the frames of one cine: images of one name and ending, numbered without a gap.

    Args:
        names: all files of a folder that may be cines, at least three for a sequence.
    """
    if len(names) < _LEAST_SEQUENCE:
        return False
    patterns, numbers = set(), []
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122
        match = _LAST_NUMBER.match(stem)
        if match is None or ending.lower() not in _STILLS:
            return False
        patterns.add((match[1], ending))
        numbers.append(int(match[2]))
    numbers.sort()
    return len(patterns) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _below(relative: str, name: str) -> str:
    return f"{relative}/{name}" if relative else name
