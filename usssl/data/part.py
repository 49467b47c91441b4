"""Decode one cine into a part of a store; this is what the worker processes of `prepare` do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine import open_cine
from usssl.data.catalog import cine_path
from usssl.data.framing import Framing
from usssl.errors import CineError, OutputError


def prepare_cine(item: dict[str, Any]) -> dict[str, Any]:
    """Writes the frames of one cine to a file.

    Args:
        item: `folder`, `path`, `id`, `size`, `mask`, `color`, and `part`, the file to write.

    Returns:
        `frames`, `bytes`, `sha256`, `window`, and `times_s` where the frames are not evenly spaced.

    Raises:
        CineError: the file cannot be read, or is not the one that was indexed.
        OutputError: the part cannot be written.
    """
    path, part = cine_path(item), Path(item["part"])
    framing = Framing((item["size"][0], item["size"][1]), item["mask"], item["color"])
    with open_cine(path, color=framing.color, threads=1) as cine:
        if cine.id != item["id"]:
            raise CineError(path, "it has changed since it was indexed; index it again")
        window, batches = framing.frames(cine)
        return {
            **write_part(part, batches),
            "window": [float(edge) for edge in window],
            "times_s": _uneven(cine.times, cine.fps),
        }


def write_part(part: Path, batches: Iterable[np.ndarray]) -> dict[str, Any]:
    """Writes frames to a file, whole or not at all.

    Args:
        part: the file.
        batches: uint8 `(n, height, width[, 3])` each.

    Returns:
        `frames`, `bytes` and `sha256`.

    Raises:
        OutputError: the file cannot be written.
    """
    digest, frames, written = hashlib.sha256(), 0, 0
    partial = part.with_suffix(".writing")
    try:
        with partial.open("wb") as file:
            for batch in batches:
                data = np.ascontiguousarray(batch).data
                digest.update(data)
                written += file.write(data)
                frames += len(batch)
        partial.replace(part)
    except OSError as error:
        raise OutputError(
            f"cannot write {part}: {error.strerror or error}; make room or choose another place"
        ) from error
    return {"frames": frames, "bytes": written, "sha256": digest.hexdigest()}


def _uneven(times: np.ndarray, fps: float | None) -> list[float] | None:
    """The times in seconds, or None where they follow from the rate or are not known."""
    if not fps or np.allclose(times, np.arange(len(times)) / fps, rtol=0, atol=1e-6):
        return None
    return [float(time) for time in times]
