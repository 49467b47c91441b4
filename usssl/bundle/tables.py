"""The tables that a prediction writes, and the parts they are assembled from.

Each cine is written as two small files first, its rows of `frames.parquet` and then its row of `cines.parquet`; the
second says that the cine is done. A run that was killed goes on with what lacks it. No identifier from a file's header
is in a table; the column `path` is the file's path within the input folder, so a name that someone put there stays.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from usssl.bundle.inputs import CineFile
from usssl.bundle.prediction import Prediction
from usssl.cine.video_writing import atomic_path
from usssl.errors import OutputError

_ROWS_IN_GROUP = 1 << 17


@dataclass(frozen=True)
class Parts:
    """The folder of parts of one run.

    Attributes:
        folder: where they lie.
        model: sha256 of the model that made them.
    """

    folder: Path
    model: str

    def row(self, cine: CineFile, extras: Iterable[str]) -> dict[str, Any] | None:
        """The row of a cine that is done with all these extras, or None; a file that changed since is not done."""
        try:
            part = json.loads(self._path(cine, "json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        done = part.get("stamp") == _stamp(cine.path) and part.get("model") == self.model
        if not done or not set(extras) <= set(part["extras"]) or not self._path(cine, "parquet").is_file():
            return None
        row: dict[str, Any] = {**part["row"], "path": cine.name}
        return row

    def write(self, cine: CineFile, frames: pa.Table, row: dict[str, Any], extras: Iterable[str]) -> None:
        """Writes both parts of a cine, the row last.

        Raises:
            OutputError: the folder cannot be written.
        """
        with atomic_path(self._path(cine, "parquet")) as temporary:
            pq.write_table(frames, temporary)
        part = {"stamp": _stamp(cine.path), "model": self.model, "extras": sorted(extras), "row": row}
        write_text(self._path(cine, "json"), json.dumps(part))

    @contextmanager
    def attempt(self, cine: CineFile) -> Iterator[bool]:
        """Marks a cine as being worked on; gives whether an earlier run died over it.

        Raises:
            OutputError: the folder cannot be written.
        """
        mark = self._path(cine, "begun")
        died = mark.exists()
        try:
            mark.touch()
        except OSError as error:
            raise OutputError(f"cannot write {mark}: {error.strerror or error}") from None
        try:
            yield died
        finally:
            mark.unlink(missing_ok=True)

    def frames(self, cine: CineFile) -> pa.Table:
        """The frame rows of a cine that is done."""
        table = pq.read_table(self._path(cine, "parquet"))
        names = pa.array([cine.name] * len(table), pa.string())
        return table.set_column(table.schema.get_field_index("path"), "path", names)

    def _path(self, cine: CineFile, suffix: str) -> Path:
        key = hashlib.sha256(str(cine.path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return self.folder / f"{key}.{suffix}"


def frame_rows(cine: str, path: str, prediction: Prediction) -> pa.Table:
    """The rows of `frames.parquet` for one cine: cine, path, frame, time_s, a column a class, best, entropy.

    Args:
        cine: its id.
        path: what the tables call its file.
        prediction: of a bundle.
    """
    count = len(prediction)
    columns: dict[str, pa.Array] = {
        "cine": pa.array([cine] * count, pa.string()),
        "path": pa.array([path] * count, pa.string()),
        "frame": pa.array(np.arange(count, dtype=np.int32)),
        "time_s": pa.array(prediction.times, pa.float64(), from_pandas=True),  # NaN, a time not known, becomes null
    }
    if prediction.plane_probs is not None:
        for column, name in enumerate(prediction.classes):
            columns[name] = pa.array(np.ascontiguousarray(prediction.plane_probs[:, column]))
        best = prediction.plane_probs.argmax(axis=1)
        columns["best"] = pa.array(np.array(prediction.classes)[best], pa.string())
        columns["entropy"] = pa.array(prediction.entropy)
    return pa.table(columns)


def cine_row(cine: str, path: str, prediction: Prediction) -> dict[str, Any]:
    """The row of `cines.parquet` for one cine.

    Columns: cine, path, frames, x0, y0, x1, y1 (the window in pixels), for each plane `<plane>_frame`,
    `<plane>_time_s` and `<plane>_prob` of its best frame, and `cine_<class>`, the probability of each class for the
    whole cine.
    """
    row: dict[str, Any] = {"cine": cine, "path": path, "frames": len(prediction)}
    row.update(zip(("x0", "y0", "x1", "y1"), prediction.window, strict=True))
    for plane, (frame, probability) in prediction.best_frames().items():
        time = float(prediction.times[frame])
        row[f"{plane}_frame"] = frame
        row[f"{plane}_time_s"] = time if np.isfinite(time) else None
        row[f"{plane}_prob"] = probability
    if prediction.cine_probs is not None:
        for name, probability in zip(prediction.classes, prediction.cine_probs, strict=True):
            row[f"cine_{name}"] = float(probability)
    return row


def empty_prediction(classes: Sequence[str], outputs: Iterable[str]) -> Prediction:
    """A prediction of no frames; its rows have the columns that a table has when no cine is done."""
    wanted = set(outputs)
    return Prediction(
        times=np.zeros(0),
        classes=tuple(classes),
        window=(0.0, 0.0, 0.0, 0.0),
        plane_probs=np.zeros((0, len(classes)), np.float32) if "plane_probs" in wanted else None,
        cine_probs=np.zeros(len(classes), np.float32) if "cine_probs" in wanted else None,
    )


def write_frames(path: Path, tables: Iterable[pa.Table], empty: pa.Table) -> int:
    """Writes `frames.parquet` from the tables of the cines, holding a few at a time; returns the number of rows."""
    rows = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, empty.schema) as writer:
        for table in _grouped(tables):
            writer.write_table(table.cast(empty.schema))
            rows += len(table)
    return rows


def write_cines(
    path: Path, rows: Sequence[dict[str, Any]], classes: Sequence[str], planes: Sequence[str], outputs: Iterable[str]
) -> None:
    """Writes `cines.parquet`."""
    fields = [("cine", pa.string()), ("path", pa.string()), ("frames", pa.int32())]
    fields += [(edge, pa.float64()) for edge in ("x0", "y0", "x1", "y1")]
    wanted = set(outputs)
    if "plane_probs" in wanted:
        for plane in planes:
            fields += [
                (f"{plane}_frame", pa.int32()),
                (f"{plane}_time_s", pa.float64()),
                (f"{plane}_prob", pa.float32()),
            ]
    if "cine_probs" in wanted:
        fields += [(f"cine_{name}", pa.float32()) for name in classes]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), temporary)


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Writes `failures.csv`: path, reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "reason"])
    writer.writerows(failures)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= _ROWS_IN_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _stamp(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]
