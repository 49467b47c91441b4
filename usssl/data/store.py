"""The prepared store: every cine once, cropped and resized, read by memory map.

    STORE/index.arrow      catalogue columns, window, shard and offset of each cine; in its metadata size and hashes
    STORE/shard-00000.bin  uint8 frames, grey or RGB, cine after cine

Only the pages that are asked for are read from the disk, and all processes share them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from usssl.data.catalog import open_mapped
from usssl.errors import CatalogError

STORE_FORMAT = "usssl store 1"
INDEX = "index.arrow"
_METADATA = b"usssl store"
_NEEDED = frozenset(("size", "key", "law", "shards"))


@dataclass(frozen=True)
class Fixations:
    """Where somebody looked, one entry a fixation, in order of time.

    Attributes:
        frame: frame number, int32 `(n,)`.
        time_s: seconds from the first frame, float64 `(n,)`.
        xy: normalised to the original frame, (0, 0) its upper left corner and (1, 1) its lower right, float32 `(n, 2)`.
        window_xy: the same normalised to the window that the store holds; outside 0 to 1 where it lies outside.
    """

    frame: np.ndarray
    time_s: np.ndarray
    xy: np.ndarray
    window_xy: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


class Store:
    """Prepared cines. It pickles by its path, so that a loader's worker opens it by itself.

    Attributes:
        path: the folder.
        size: (height, width) of every frame, in pixels.
        color: `grey` or `rgb`.
        mask: whether what is not ultrasound was made black; None where the store does not say.
        frame_shape: shape of a frame: (height, width), or (height, width, 3) for RGB.
        id: a hash of what the store was made from: the catalogue and the law of its frames.
        law: a hash of all that makes frames what they are; equal contents of stores of one law have equal frames.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / INDEX).is_file():
            raise CatalogError(f"{self.path} is not a prepared store: make one with `usssl prepare`")
        self._about = _about(self.path, self.table)
        height, width = self._about["size"]
        self.size: tuple[int, int] = (int(height), int(width))
        self.color: str = self._about.get("color", "grey")
        self.mask: bool | None = self._about.get("mask")
        self.frame_shape: tuple[int, ...] = self.size if self.color == "grey" else (*self.size, 3)
        self.id: str = self._about["key"]
        self.law: str = self._about["law"]
        self._shards: dict[int, np.memmap] = {}
        for shard in self._about["shards"]:
            _check_size(self.path / shard["name"], shard["bytes"])

    @cached_property
    def table(self) -> pa.Table:
        """The catalogue of the cines in the store, memory-mapped, with `window` (x0, y0, x1, y1)."""
        return open_mapped(self.path / INDEX)

    @cached_property
    def frame_counts(self) -> np.ndarray:
        """Frames of each cine, int32 `(len(store),)`."""
        return self.table["frames"].to_numpy()

    @property
    def frames_held(self) -> int:
        """Frames in the shards; cines of equal content share theirs."""
        return sum(shard["bytes"] for shard in self._about["shards"]) // math.prod(self.frame_shape)

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        return self.table["shard"].to_numpy(), self.table["offset"].to_numpy()

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        frames = f"{int(self.frame_counts.sum())} {self.color} frames of {self.size[1]}x{self.size[0]}"
        return f"<Store {self.path}: {len(self)} cines, {frames}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "id": self.id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        if self.id != state["id"]:
            raise CatalogError(f"{self.path} was replaced while it was in use: start again")

    def frames(self, cine: int) -> np.ndarray:
        """All frames of a cine as a read-only view of the memory map, uint8 `(T, height, width[, 3])`."""
        shards, offsets = self._places
        if not -len(self) <= cine < len(self):
            raise IndexError(f"cine {cine} of {self.path}, which has {len(self)}")
        number = int(shards[cine])
        if number not in self._shards:
            self._shards[number] = np.memmap(self.path / self._about["shards"][number]["name"], np.uint8, "r")
        count, start = int(self.frame_counts[cine]), int(offsets[cine])
        stop = start + count * math.prod(self.frame_shape)
        return self._shards[number][start:stop].reshape(count, *self.frame_shape)

    def read(self, cine: int, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames of a cine in the order asked for; repeats and negative numbers are allowed.

        Args:
            cine: row of the store's table.
            indices: frame numbers, each in [-T, T).

        Returns:
            uint8 `(n, height, width[, 3])`, a copy.

        Raises:
            IndexError: a cine or frame that is not there.
        """
        return np.asarray(self.frames(cine)).take(np.asarray(indices, dtype=np.int64), axis=0)

    def times(self, cine: int) -> np.ndarray:
        """Seconds of each frame from the first, float64 `(T,)`; NaN from the second on where the file does not say."""
        stated = self.table["times_s"][cine]
        if stated.is_valid:
            return stated.values.to_numpy(zero_copy_only=False)
        fps = self.table["fps"][cine].as_py()
        times = np.arange(int(self.frame_counts[cine]), dtype=np.float64)
        times[1:] = times[1:] / fps if fps else np.nan
        return times

    def made(self, cine: int) -> dict[str, Any]:
        """What was found out about a cine when it was prepared: `window` and `times_s`."""
        return {name: self.table[name][cine].as_py() for name in ("window", "times_s")}

    def window(self, cine: int) -> tuple[float, float, float, float]:
        """The rectangle (x0, y0, x1, y1), in pixels of the original frame, that the store holds."""
        x0, y0, x1, y1 = self.table["window"][cine].as_py()
        return x0, y0, x1, y1

    def frame_labels(self, cine: int, name: str) -> list[Any]:
        """The labels of a cine's frames, as many as it has frames; None where a frame has none.

        Args:
            cine: row of the store's table.
            name: column of `frames.csv`, such as "plane".

        Raises:
            CatalogError: no cine of the store has such labels.
        """
        if name not in self.table.column_names or not pa.types.is_list(self.table.schema.field(name).type):
            raise CatalogError(
                f"{self.path} has no frame labels {name!r}: put a frames.csv with this column beside the cines "
                f"and index them again"
            )
        labels = self.table[name][cine].as_py()
        return [None] * int(self.frame_counts[cine]) if labels is None else labels

    def fixations(self, cine: int) -> Fixations:
        """The fixations on a cine; none where it has no gaze."""
        gaze = self.table["gaze"][cine] if "gaze" in self.table.column_names else None
        if gaze is None or not gaze.is_valid:
            nowhere = np.empty((0, 2), np.float32)
            return Fixations(np.empty(0, np.int32), np.empty(0, np.float64), nowhere, nowhere)
        frame, seconds, x, y = (column.to_numpy(zero_copy_only=False) for column in gaze.values.flatten())
        xy = np.stack([x, y], axis=1)
        x0, y0, x1, y1 = self.window(cine)
        original = np.array([self.table["width"][cine].as_py(), self.table["height"][cine].as_py()], dtype=np.float64)
        window_xy = (xy * original - [x0, y0]) / [x1 - x0, y1 - y0]
        return Fixations(frame, seconds, xy, window_xy.astype(np.float32))

    def verify(self) -> None:
        """Hashes every shard.

        Raises:
            CatalogError: a shard is not what was written.
        """
        for shard in self._about["shards"]:
            path = self.path / shard["name"]
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                    raise CatalogError(
                        f"{path} is damaged (its hash is not the recorded one): "
                        f"remove {self.path} and run `usssl prepare` again"
                    )


def open_store(path: str | Path, *, verify: bool = False) -> Store:
    """Opens a prepared store.

    Args:
        path: the folder that `usssl prepare` wrote.
        verify: hash every shard first; without it only their sizes are checked.

    Raises:
        CatalogError: it is missing, damaged, or no store.
    """
    store = Store(path)
    if verify:
        store.verify()
    return store


def is_store(path: Path) -> bool:
    """Whether a folder is a prepared store of this or another version."""
    try:
        return _METADATA in (open_mapped(path / INDEX).schema.metadata or {})
    except CatalogError:
        return False


def _about(path: Path, table: pa.Table) -> dict[str, Any]:
    metadata = table.schema.metadata or {}
    about = json.loads(metadata.get(_METADATA, b"{}"))
    if about.get("format") != STORE_FORMAT or not set(about) >= _NEEDED:
        raise CatalogError(f"{path} is not a prepared store of this version: make it again with `usssl prepare`")
    return dict(about)


def _check_size(path: Path, size: int) -> None:
    held = path.stat().st_size if path.is_file() else None
    if held != size:
        state = "is missing" if held is None else f"holds {held} bytes instead of {size}"
        raise CatalogError(f"{path} {state}: remove {path.parent} and run `usssl prepare` again")
