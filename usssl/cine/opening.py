"""`open_cine`: the one door to every kind of file."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path

from usssl.cine.cine import Cine
from usssl.cine.facts import Color, Limits
from usssl.cine.faults import typed_faults
from usssl.cine.sniff import VIDEO_FORMATS, kind_of, read_head
from usssl.cine.source import FrameSource
from usssl.errors import CineError, CineLimitError

_BACKENDS = {
    "dicom": "dicom:open_dicom_source",
    **dict.fromkeys(VIDEO_FORMATS, "video:VideoSource"),
    "folder": "pictures:FolderSource",
    "image": "pictures:FolderSource",
    "tiff": "pictures:TiffSource",
    "metaimage": "metaimage:MetaImageSource",
    "npy": "numpy_file:NumpySource",
    "npz": "numpy_file:NumpySource",
}


def open_cine(
    path: str | Path, *, color: Color = "native", limits: Limits | None = None, threads: int | None = None
) -> Cine:
    """Opens a file or folder as a cine; only headers are read now, frames when they are asked for.

    The content decides what the file is, not its name. Native colour is what the format declares: grey formats give
    `(T, H, W)`; YUV and RGB video gives RGB, even where no colour was put in. `color="grey"` is the luma of the stream,
    stretched to 0–255, and the fastest way to read video.

    Args:
        path: DICOM, MP4/MOV, AVI, Matroska/WebM, MPEG, GIF, TIFF, MetaImage, NumPy file, still image, or a folder of
            images.
        color: `native`, `grey` or `rgb`.
        limits: what the file may ask for; the defaults of `Limits` where None.
        threads: decoder threads; None takes one in a worker process and as many as there are cores (at most 8)
            elsewhere.

    Raises:
        CineError: if it cannot be read, with the reason.
        CineLimitError: if it asks for more than the limits allow.
    """
    if color not in ("native", "grey", "rgb"):
        raise ValueError(f"color is 'native', 'grey' or 'rgb', not {color!r}")
    limits = limits or Limits()
    path = Path(path)
    reopen = functools.partial(open_source, path.absolute(), color, limits, threads)
    return Cine(path, reopen, color, limits)


def open_source(path: Path, color: Color, limits: Limits, threads: int | None = None) -> FrameSource:
    """Picks the back end by content and opens the file with it, turning any fault of the file into a `CineError`.

    Raises:
        CineError: as `open_cine`.
    """
    with typed_faults(path):
        kind = "folder" if path.is_dir() else kind_of(read_head(path))
        if kind not in _BACKENDS:
            raise CineError(path, "its content is no known kind of cine (DICOM, video, TIFF, GIF, MetaImage, NumPy)")
        source = _backend(kind)(path, kind, color, limits, threads)
        _check_size(path, source, limits)
        return source


def _check_size(path: Path, source: FrameSource, limits: Limits) -> None:
    facts = source.facts
    try:
        if facts.frames < 1 or facts.height < 1 or facts.width < 1:
            raise CineError(path, "it holds no frames")
        if facts.frames > limits.max_frames:
            raise CineLimitError(path, f"it has {facts.frames} frames; the limit is {limits.max_frames}")
        if facts.height * facts.width > limits.max_frame_pixels:
            raise CineLimitError(
                path, f"its frames are {facts.width}x{facts.height}; the limit is {limits.max_frame_pixels} pixels"
            )
    except CineError:
        source.close()
        raise


def _backend(kind: str) -> Callable[..., FrameSource]:
    module, name = _BACKENDS[kind].split(":")
    return getattr(importlib.import_module(f"usssl.cine.{module}"), name)
