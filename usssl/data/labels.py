"""Labels from CSV files that lie beside the cines: `labels.csv`, `frames.csv` and `gaze.csv`.

They have a row a cine, a row a frame, a row a fixation; each has a column `file`, a path relative to the folder that it
lies in. Columns that name a person are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from usssl.errors import UsageError

LABEL_FILES = ("labels.csv", "frames.csv", "gaze.csv")
GAZE = pa.list_(pa.struct([("frame", pa.int32()), ("time_s", pa.float64()), ("x", pa.float32()), ("y", pa.float32())]))

_NEEDED = {"labels.csv": ("file",), "frames.csv": ("file", "frame"), "gaze.csv": ("file", "frame", "time_s", "x", "y")}
_PERSON = re.compile(
    r"(^|_)(patient_?(name|id|number|id_stated)|mrn|birth_?(date|day)|dob|ssn|nhs_?number|accession(_?number)?"
    r"|(first|last|sur|family|given)_?name)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LabelTable:
    """A label file.

    Attributes:
        path: the file.
        table: its rows.
        bases: the folders that its column `file` may be relative to, absolute.
    """

    path: Path
    table: pa.Table
    bases: tuple[str, ...]

    def rows(self, catalogue: Mapping[str, int]) -> np.ndarray:
        """The catalogue row of each label row, -1 where it names no cine; int64.

        Args:
            catalogue: row of each cine's absolute path.
        """
        files = self.table["file"].combine_chunks().dictionary_encode()  # a path is looked up once, not once a row
        found = [_find(file, self.bases, catalogue) for file in files.dictionary.to_pylist()]
        return np.array([*found, -1], dtype=np.int64)[
            files.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        ]


def read_labels(path: Path, kind: str = "labels.csv", folders: Sequence[str] = ()) -> LabelTable:
    """Reads a label file; empty cells are null.

    Args:
        path: a CSV file with a header.
        kind: which of `LABEL_FILES` it is.
        folders: further folders that its paths may be relative to.

    Raises:
        UsageError: the file is missing, is not a CSV table, or lacks a column.
    """
    if not path.is_file():
        raise UsageError(f"there is no label file {path}: check the path")
    names = pa.string()
    options = pacsv.ConvertOptions(
        strings_can_be_null=True,
        null_values=[""],
        column_types={"file": names, "patient": names, "group": names, "split": names},
    )
    try:
        table = pacsv.read_csv(path, convert_options=options, parse_options=pacsv.ParseOptions(newlines_in_values=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path} is not a CSV table: {str(error).splitlines()[0]}") from error
    missing = [name for name in _NEEDED[kind] if name not in table.column_names]
    if missing:
        raise UsageError(f"{path} has no column {missing[0]!r}: it needs {', '.join(_NEEDED[kind])}")
    numbers = {"frame": pa.int64(), "time_s": pa.float64(), "x": pa.float64(), "y": pa.float64()}
    for name in (name for name in _NEEDED[kind] if name in numbers):
        try:
            column = table[name].cast(numbers[name])
        except pa.ArrowInvalid as error:
            raise UsageError(f"column {name!r} of {path} is not all numbers: {str(error).splitlines()[0]}") from error
        table = table.set_column(table.column_names.index(name), name, column)
    return LabelTable(path, table, (str(path.resolve().parent), *folders))


def names_a_person(column: str) -> bool:
    """Whether a label column carries an identifier that must not reach a catalogue."""
    return _PERSON.search(column) is not None


def join_labels(
    tables: Sequence[LabelTable], catalogue: Mapping[str, int], count: int
) -> tuple[dict[str, pa.Array], int]:
    """Label columns as long as the catalogue, null where no label file speaks of a cine.

    Args:
        tables: label files; where two speak of the same cine and column, the first counts.
        catalogue: row of each cine's absolute path.
        count: number of catalogue rows.

    Returns:
        The columns by name (without `file`), and how many label rows name no cine of the catalogue.
    """
    joined: dict[str, pa.Array] = {}
    unmatched = 0
    for labels in tables:
        rows = labels.rows(catalogue)
        unmatched += int((rows < 0).sum())
        take = _scatter(rows, np.arange(len(rows)), count)
        for name in labels.table.column_names:
            if name != "file" and not names_a_person(name):
                column = labels.table[name].combine_chunks().take(take)
                joined[name] = column if name not in joined else _merge(joined[name], column)
    return {name: column for name, column in joined.items() if column.null_count < count}, unmatched


def join_frames(tables: Sequence[LabelTable], catalogue: Mapping[str, int], frames: np.ndarray) -> dict[str, pa.Array]:
    """Frame labels as one list a cine, as long as the cine, null where a frame has no label.

    Args:
        tables: label files with `file`, `frame` and label columns.
        catalogue: row of each cine's absolute path.
        frames: number of frames of each catalogue row.
    """
    starts = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
    columns: dict[str, pa.Array] = {}
    labelled: dict[str, np.ndarray] = {}
    for labels in tables:
        row = labels.rows(catalogue)
        frame = labels.table["frame"].fill_null(-1).to_numpy()
        known = (row >= 0) & (frame >= 0)
        known[known] &= frame[known] < frames[row[known]]
        source = np.flatnonzero(known)
        take = _scatter(starts[row[source]] + frame[source], source, int(starts[-1]))
        for name in labels.table.column_names:
            if name in {"file", "frame", "time_s"} or names_a_person(name):
                continue
            flat = labels.table[name].combine_chunks().take(take)
            columns[name] = flat if name not in columns else _merge(columns[name], flat)
            labelled.setdefault(name, np.zeros(len(frames), dtype=bool))[row[source]] = True
    return {name: _lists(flat, starts, labelled[name]) for name, flat in columns.items() if labelled[name].any()}


def join_gaze(tables: Sequence[LabelTable], catalogue: Mapping[str, int], count: int) -> pa.Array | None:
    """Fixations as one list a cine, in order of time; None where no table has any for these cines.

    Args:
        tables: label files with `frame`, `time_s`, `x`, `y` (x, y normalised to the original frame, 0 to 1).
        catalogue: row of each cine's absolute path.
        count: number of catalogue rows.
    """
    parts = [
        (labels.rows(catalogue), *(labels.table[name].to_numpy() for name in ("frame", "time_s", "x", "y")))
        for labels in tables
    ]
    if not any((part[0] >= 0).any() for part in parts):
        return None
    row, frame, seconds, x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((seconds, frame, row))
    order = order[row[order] >= 0]
    values = [frame[order].astype(np.int32), seconds[order].astype(np.float64)]
    values += [x[order].astype(np.float32), y[order].astype(np.float32)]
    flat = pa.StructArray.from_arrays([pa.array(value) for value in values], fields=list(GAZE.value_type))
    lengths = np.bincount(row[order], minlength=count)
    return _lists(flat, np.concatenate([[0], np.cumsum(lengths)]), lengths > 0)


def _find(file: str | None, bases: Sequence[str], catalogue: Mapping[str, int]) -> int:
    for base in bases if file else ():
        row = catalogue.get(os.path.normpath(os.path.join(base, file or "")))  # noqa: PTH118  100,000 rows
        if row is not None:
            return row
    return -1


def _scatter(places: np.ndarray, sources: np.ndarray, count: int) -> pa.Array:
    """For each of `count` places the source that belongs there, null where none does."""
    chosen = np.full(count, -1, dtype=np.int64)
    known = places >= 0
    chosen[places[known]] = sources[known]
    return pa.array(chosen, mask=chosen < 0)


def _merge(first: pa.Array, second: pa.Array) -> pa.Array:
    """The first column, filled where null from the second, in a type that holds both."""
    if first.type != second.type:
        types = (first.type, second.type)
        known = [kind for kind in types if not pa.types.is_null(kind)]
        numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in known)
        wide = known[0] if len(known) == 1 else pa.float64() if numbers else pa.string()
        first, second = first.cast(wide), second.cast(wide)
    return pc.coalesce(first, second)


def _lists(flat: pa.Array, starts: np.ndarray, present: np.ndarray) -> pa.Array:
    """One list a cine from a flat array and its boundaries; null where a cine has none."""
    lengths = np.diff(starts)
    kept = flat.filter(pa.array(np.repeat(present, lengths)))
    offsets = np.concatenate([[0], np.cumsum(np.where(present, lengths, 0))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=np.concatenate([~present, [False]])), kept)
