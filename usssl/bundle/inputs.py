"""Finds the cines among the files of folders, by content and not by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usssl.cine.sniff import kind_of, read_head
from usssl.errors import CineError, UsageError

# A file of such a name is meant to be a cine: if its content is none, it is reported and not passed over.
_SUFFIXES = frozenset(
    ".avi .dcm .dicom .flv .gif .ima .m4v .mha .mhd .mkv .mov .mp4 .mpeg .mpg .npy .tif .tiff .ts .webm .wmv".split()  # noqa: SIM905
)
_NO_CINES = frozenset({"DICOMDIR"})


@dataclass(frozen=True)
class CineFile:
    """A file that is, or claims to be, a cine.

    Attributes:
        path: where it lies.
        name: what tables call it: its path within the input folder, with forward slashes.
    """

    path: Path
    name: str


def find_cines(inputs: Sequence[Path], skip: Path) -> tuple[list[CineFile], int]:
    """Lists the cines of folders and files, each once, in order.

    Hidden files and folders are passed over, links are followed but never in circles.

    Args:
        inputs: folders and files; a file named here counts as a cine whatever it holds.
        skip: the output folder, which may lie in an input folder.

    Returns:
        The cines, and the number of other files that were passed over.

    Raises:
        UsageError: an input does not exist.
    """
    found: dict[Path, CineFile] = {}
    others = 0
    for given in inputs:
        if not given.exists():
            raise UsageError(f"there is no file or folder {given}; check the path")
        if given.is_file():
            found.setdefault(given.resolve(), CineFile(given, given.name))
            continue
        prefix = f"{given.resolve().name}/" if len(inputs) > 1 else ""
        for path in _walk(given, skip.resolve()):
            if not _may_be_cine(path):
                others += 1
                continue
            found.setdefault(path.resolve(), CineFile(path, prefix + path.relative_to(given).as_posix()))
    return list(found.values()), others


def _walk(root: Path, skip: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            state = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue  # a folder that may not be read hides its files
        if (state.st_dev, state.st_ino) in seen or folder.resolve() == skip:
            continue
        seen.add((state.st_dev, state.st_ino))
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        yield from (Path(entry.path) for entry in visible if _is_file(entry))
        waiting.extend(Path(entry.path) for entry in reversed(visible) if _is_folder(entry))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _may_be_cine(path: Path) -> bool:
    if path.name in _NO_CINES:
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    try:
        kind = kind_of(read_head(path))
    except CineError:
        return False
    # Office documents are zip files, too.
    return kind is not None and (kind != "npz" or path.suffix.lower() == ".npz")
