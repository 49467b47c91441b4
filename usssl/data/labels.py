"""Labels from CSV files that lie beside the cines: `labels.csv`, `frames.csv` and `gaze.csv`.

They have a row a cine, a row a frame, a row a fixation; each has a column `file`, a path relative to the folder that it
lies in. Columns that name a person are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from usssl.errors import UsageError

LABEL_FILES = ("labels.csv", "frames.csv", "gaze.csv")
GAZE = pa.list_(pa.struct([("frame", pa.int32()), ("time_s", pa.float64()), ("x", pa.float32()), ("y", pa.float32())]))

_PERSON = re.compile(
    r"(^|_)(patient_?(name|id|number|id_stated)|mrn|birth_?(date|day)|dob|ssn|nhs_?number|(first|last|sur)_?name)$",
    re.I,
)


def read_labels(path: Path) -> pa.Table:
    """The rows of a CSV file that has a column `file`; empty cells are null.

    Raises:
        UsageError: the file is missing, is not a CSV table, or has no column `file`.
    """
    if not path.is_file():
        raise UsageError(f"there is no label file {path}: check the path")
    options = pacsv.ConvertOptions(
        strings_can_be_null=True, null_values=[""], column_types={"file": pa.string(), "patient": pa.string()}
    )
    try:
        table = pacsv.read_csv(path, convert_options=options, parse_options=pacsv.ParseOptions(newlines_in_values=True))
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} is not a CSV table: {str(error).splitlines()[0]}") from error
    if "file" not in table.column_names:
        raise UsageError(
            f"{path} has no column 'file' (a path relative to {path.parent}): it has {', '.join(table.column_names)}"
        )
    return table


def names_a_person(column: str) -> bool:
    """Whether a label column carries an identifier that must not reach a catalogue."""
    return _PERSON.search(column) is not None


def join_labels(
    tables: Sequence[tuple[pa.Table, Sequence[Path]]], rows: Mapping[Path, int], count: int
) -> tuple[dict[str, pa.Array], int]:
    """Label columns of length `count`, null where no label file speaks of a cine.

    Args:
        tables: label tables, each with the folders that its `file` may be relative to.
        rows: catalogue row of each cine's absolute path.
        count: number of catalogue rows.

    Returns:
        The columns by name (without `file`), and how many label rows name no cine of the catalogue.
    """
    joined: dict[str, pa.Array] = {}
    unmatched = 0
    for table, bases in tables:
        target = np.full(count, -1, dtype=np.int64)
        for source, file in enumerate(table["file"].to_pylist()):
            found = (rows.get(base / file) for base in bases if file)
            row = next((row for row in found if row is not None), None)
            if row is None:
                unmatched += 1
            else:
                target[row] = source
        take = pa.array(target, mask=target < 0)
        for name in table.column_names:
            if name != "file" and not names_a_person(name):
                column = table[name].combine_chunks().take(take)
                joined[name] = column if name not in joined else _merge(joined[name], column)
    return {name: column for name, column in joined.items() if column.null_count < count or count == 0}, unmatched


def _merge(first: pa.Array, second: pa.Array) -> pa.Array:
    """The first column, filled where null from the second, in a type that holds both."""
    if first.type != second.type:
        numbers = all(pa.types.is_integer(a.type) or pa.types.is_floating(a.type) for a in (first, second))
        wide = pa.float64() if numbers else pa.string()
        if pa.types.is_null(first.type) or pa.types.is_null(second.type):
            wide = second.type if pa.types.is_null(first.type) else first.type
        first, second = first.cast(wide), second.cast(wide)
    return pc.coalesce(first, second)


def join_frames(
    tables: Sequence[tuple[pa.Table, Sequence[Path]]], rows: Mapping[Path, int], frames: np.ndarray
) -> dict[str, pa.Array]:
    """Frame labels as one list a cine, as long as the cine, null where a frame has no label.

    Args:
        tables: tables with `file`, `frame` and label columns, each with the folders that `file` may be relative to.
        rows: catalogue row of each cine's absolute path.
        frames: number of frames of each catalogue row.
    """
    starts = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
    columns: dict[str, tuple[np.ndarray, list[pa.Array]]] = {}
    for table, bases in tables:
        row, frame = _places(table, bases, rows)
        known = (row >= 0) & (frame >= 0)
        known[known] &= frame[known] < frames[row[known]]
        source = np.flatnonzero(known)
        place = starts[row[source]] + frame[source]
        for name in table.column_names:
            if name in {"file", "frame", "time_s"} or names_a_person(name):
                continue
            take = np.full(starts[-1], -1, dtype=np.int64)
            take[place] = source
            flat = table[name].combine_chunks().take(pa.array(take, mask=take < 0))
            labelled, parts = columns.setdefault(name, (np.zeros(len(frames), dtype=bool), []))
            labelled[row[source]] = True
            parts.append(flat if not parts else _merge(parts.pop(), flat))
    return {name: _lists(parts[0], starts, labelled) for name, (labelled, parts) in columns.items() if labelled.any()}


def join_gaze(
    tables: Sequence[tuple[pa.Table, Sequence[Path]]], rows: Mapping[Path, int], count: int
) -> pa.Array | None:
    """Fixations as one list a cine, in order of time; None where no table has any for these cines.

    Args:
        tables: tables with `file, frame, time_s, x, y` (x, y normalised to the original frame, 0 to 1).
        rows: catalogue row of each cine's absolute path.
        count: number of catalogue rows.
    """
    parts = []
    for table, bases in tables:
        row, frame = _places(table, bases, rows)
        values = {
            name: np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=float) for name in ("time_s", "x", "y")
        }
        keep = row >= 0
        parts.append((row[keep], frame[keep], *(values[name][keep] for name in ("time_s", "x", "y"))))
    if not parts or not sum(len(part[0]) for part in parts):
        return None
    row, frame, seconds, x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((seconds, frame, row))
    flat = pa.StructArray.from_arrays(
        [
            pa.array(frame[order], pa.int32()),
            pa.array(seconds[order]),
            pa.array(x[order], pa.float32()),
            pa.array(y[order], pa.float32()),
        ],
        fields=list(GAZE.value_type),
    )
    lengths = np.bincount(row, minlength=count)
    return _lists(flat, np.concatenate([[0], np.cumsum(lengths)]), lengths > 0)


def _places(table: pa.Table, bases: Sequence[Path], rows: Mapping[Path, int]) -> tuple[np.ndarray, np.ndarray]:
    """Catalogue row (-1: none) and frame number of each table row; paths are looked up once a file, not once a row."""
    files = table["file"].combine_chunks().dictionary_encode()
    found = [
        next((rows[base / file] for base in bases if file and base / file in rows), -1)
        for file in files.dictionary.to_pylist()
    ]
    code = files.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    frame = pc.fill_null(pc.cast(table["frame"], pa.int64()), -1).to_numpy()
    return np.array([*found, -1], dtype=np.int64)[code], np.asarray(frame)


def _lists(flat: pa.Array, starts: np.ndarray, present: np.ndarray) -> pa.Array:
    """One list a cine from a flat array and its boundaries; null where a cine has none."""
    kept = np.repeat(present, np.diff(starts))
    lengths = np.where(present, np.diff(starts), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask = np.concatenate([~present, [False]])
    return pa.ListArray.from_arrays(pa.array(offsets, mask=mask), flat.filter(pa.array(kept)))
