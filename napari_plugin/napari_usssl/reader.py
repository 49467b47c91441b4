"""The reader that napari asks for files whose names look like a cine; what a file is, its content tells.

napari's own "Open File(s)" shows file names in its status bar; the panel's button does not, and takes any name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error

from napari_usssl.frames import CineFrames
from napari_usssl.layers import LayerData, cine_layer
from napari_usssl.wording import problem
from usssl.cine import open_cine
from usssl.errors import CineError

PathOrPaths = str | Path | Sequence[str | Path]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[Any]] | None:
    """The reader for one path or a list of paths, or None where one is no regular file."""
    return read if all(one.is_file() for one in _paths(path)) else None


def read(path: PathOrPaths) -> list[Any]:
    """Opens cines as lazy image layers; a file that cannot be read is told of in one sentence and left out."""
    layers: list[LayerData] = []
    for one in _paths(path):
        try:
            layers.append(open_layer(one))
        except CineError as error:
            show_error(problem(error, "the file"))
    # This is how a reader says that it did its work and there is nothing to add.
    return layers or [(None,)]


def open_layer(path: str | Path) -> LayerData:
    """Opens a cine as a lazy image layer.

    Raises:
        CineError: if it cannot be read.
    """
    cine = open_cine(path)
    try:
        frames = CineFrames(cine)
        _look_for_pixels(frames)
        return cine_layer(frames)
    except BaseException:
        cine.close()
        raise


def _look_for_pixels(frames: CineFrames) -> None:
    """Refuses a cine whose header is good but whose frames cannot be decoded; single damaged frames are no reason."""
    last = len(frames) - 1
    for number in (0, last // 2, last):
        frames.frame(number)
        if number not in frames.damage:
            return
    raise CineError(frames.path, frames.damage[0])


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
