"""Prepared stores of drawn cines, for claims that need data of which everything is known."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from usssl.data import Store, index_folders, open_store, prepare
from usssl.data.cache import lock_for, locked
from usssl.data.store import INDEX
from usssl.engine.run import write_text


def write_store(
    folder: Path,
    cines: Mapping[str, np.ndarray],
    labels: Sequence[Mapping[str, str]],
    *,
    size: tuple[int, int],
    fps: float,
) -> Store:
    """A prepared store of drawn cines, made as `usssl index` and `usssl prepare` make one of files.

    Args:
        folder: for a folder of their own, named by a hash of all that is given here, with `cines/`, `catalog.parquet`
            and `store/`; a store that is there already is opened, so none is taken for that of other cines.
        cines: name, without an ending, to uint8 frames `(T, H, W)`; they should fill the frame, since dark borders
            are cropped.
        labels: a row a cine: `file` (a name in `cines`, without an ending), `split` (train, val or test) and any
            others.
        size: height and width of the stored frames.
        fps: frames a second.

    Returns:
        The store; a recipe takes its path as `data.source`.
    """
    own = folder / _name_of(cines, labels, size, fps)
    with locked(lock_for(own)):  # another process may share the work
        if not (own / "store" / INDEX).is_file():
            _make(own, cines, labels, size, fps)
    return open_store(own / "store")


def _name_of(
    cines: Mapping[str, np.ndarray], labels: Sequence[Mapping[str, str]], size: tuple[int, int], fps: float
) -> str:
    digest = hashlib.sha256(json.dumps([list(map(dict, labels)), size, fps]).encode())
    for name, frames in cines.items():
        digest.update(f"{name} {frames.shape} {frames.dtype}".encode())
        digest.update(frames.tobytes())
    return digest.hexdigest()[:16]


def _make(
    folder: Path,
    cines: Mapping[str, np.ndarray],
    labels: Sequence[Mapping[str, str]],
    size: tuple[int, int],
    fps: float,
) -> None:
    (folder / "cines").mkdir(parents=True, exist_ok=True)
    for name, frames in cines.items():
        np.savez(folder / "cines" / f"{name}.npz", frames=frames, fps=fps)
    rows = [{**row, "file": f"{row['file']}.npz"} for row in labels]
    table = StringIO()
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "cines" / "labels.csv", table.getvalue())
    index_folders([folder / "cines"], folder / "catalog.parquet", workers=0)
    prepare(folder / "catalog.parquet", folder / "store", size=size, workers=0)


def texture(rng: np.random.Generator, size: tuple[int, int], grain: float | tuple[float, float]) -> np.ndarray:
    """Smooth noise with mean 0 and standard deviation 1, float64 `(height, width)`.

    Args:
        rng: that draws it.
        size: height and width.
        grain: standard deviation of the blur, pixels, one or (rows, columns).
    """
    noise = gaussian_filter(rng.standard_normal(size), grain, mode="wrap")
    scaled: np.ndarray = (noise - noise.mean()) / noise.std()
    return scaled


def disc(size: tuple[int, int], y: np.ndarray, x: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """A disc with soft edges in each frame, float64 `(T, height, width)` from 0 to 1.

    Args:
        size: height and width.
        y: row of the centre in each frame, pixels `(T,)`.
        x: column, `(T,)`.
        radius: pixels, one or `(T,)`.
    """
    rows, columns = (np.arange(count, dtype=np.float64) for count in size)
    distance = np.hypot(rows[:, None] - y[:, None, None], columns[None, :] - x[:, None, None])
    found: np.ndarray = np.clip(np.reshape(radius, (-1, 1, 1)) - distance + 0.5, 0.0, 1.0)
    return found
