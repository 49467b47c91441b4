"""Make a catalogue of folders: read facts once, join labels, split by patient, and list what cannot be read.

An interrupted run leaves a journal beside the catalogue and picks up from it; a file that has not changed since the
last catalogue is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from usssl.data.cache import replace_whole
from usssl.data.catalog import FORMAT, write_catalog
from usssl.data.facts import FACTS
from usssl.data.folders import Listing, list_folders
from usssl.data.labels import join_frames, join_gaze, join_labels, read_labels
from usssl.data.splits import (
    assign_splits,
    check_fractions,
    count_splits,
    find_duplicates,
    stated_split,
    withhold_leaks,
)
from usssl.data.workers import run_isolated
from usssl.errors import OutputError, UsageError
from usssl.progress import say, track

_TASK = "usssl.data.facts:read_facts"
_ROWS_PER_BATCH = 4096

Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class IndexReport:
    """What indexing did.

    Attributes:
        catalog: the catalogue.
        failures: the list of files that could not be read (columns folder, path, reason); None if there are none.
        cines: rows of the catalogue.
        read: files that were opened in this run; the others had not changed.
        failed: files that could not be read.
        duplicates: cines whose content another row holds.
        splits: cines of each split; "withheld" counts duplicates kept out of every split.
        skipped: files that are plainly not cines, by ending.
        unmatched: label rows that name no cine.
    """

    catalog: Path
    failures: Path | None
    cines: int
    read: int
    failed: int
    duplicates: int
    splits: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0


def index_folders(
    folders: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    labels: Path | None = None,
    workers: int | None = None,
    split: Sequence[float] = (0.6, 0.15, 0.25),
    seconds: float = 120.0,
) -> IndexReport:
    """Writes a catalogue of all cines below some folders, and `<out>.failures.csv`.

    Args:
        folders: one folder or several.
        out: the Parquet file to write; an earlier catalogue there lends the facts of unchanged files.
        labels: a CSV with a column `file`; without it, each `labels.csv` below the folders counts.
        workers: worker processes (None: one a core; 0: none, in this process, for debugging).
        split: fractions of train, val and test; a column `split` of the labels comes first.
        seconds: time limit for one file.

    Raises:
        UsageError: a folder or the label file is missing.
        CatalogError: the labels contradict themselves.
        OutputError: `out` cannot be written.
    """
    fractions = check_fractions(split)
    out = Path(out)
    listing = list_folders([folders] if isinstance(folders, str | Path) else folders)
    stated = _label_tables(listing, labels)
    journal = out.with_name(f".{out.name}.journal")
    known, failures, read = _read_all(listing, out, journal, workers, seconds)
    facts = _ordered(known, listing)
    table, unmatched = _described(facts, stated, fractions, out)
    write_catalog(table, out)
    listed = write_failures(failures, out.with_name(f"{out.name}.failures.csv"))
    with suppress(OSError):
        journal.unlink()
    return IndexReport(
        catalog=out,
        failures=listed,
        cines=table.num_rows,
        read=read,
        failed=len(failures),
        duplicates=table.num_rows - table["duplicate_of"].null_count,
        splits=count_splits(table["split"].to_pylist()),
        skipped=listing.skipped,
        unmatched=unmatched,
    )


def write_failures(failures: Sequence[dict[str, Any]], path: Path) -> Path | None:
    """Writes `failures.csv` (folder, path, reason) in order of path, or removes an old one if nothing failed."""
    if not failures:
        path.unlink(missing_ok=True)
        return None
    ordered = sorted(failures, key=lambda row: (row["folder"], row["path"]))
    table = pa.table({name: [row[name] for row in ordered] for name in ("folder", "path", "reason")})
    with replace_whole(path) as partial:
        pacsv.write_csv(table, partial)
    return path


def _label_tables(listing: Listing, labels: Path | None) -> dict[str, list[tuple[pa.Table, list[Path]]]]:
    """The label tables by file name, each with the folders its paths may be relative to."""
    folders = sorted({Path(found.folder) for found in listing.found})
    tables: dict[str, list[tuple[pa.Table, list[Path]]]] = {}
    for name, paths in listing.labels.items():
        chosen = [Path(labels)] if labels is not None and name == "labels.csv" else paths
        tables[name] = []
        for path in chosen:
            try:
                bases = [path.resolve().parent, *(folders if labels is not None else [])]
                tables[name].append((read_labels(path), bases))
            except UsageError as error:
                if labels is not None and name == "labels.csv":
                    raise
                say(f"Not used: {error}")
    return tables


def _read_all(
    listing: Listing, out: Path, journal: Path, workers: int | None, seconds: float
) -> tuple[pa.Table, list[dict[str, Any]], int]:
    """The facts of all readable files: from the last catalogue, from the journal, and from the files that are left."""
    wanted = {_key(asdict(found)) for found in listing.found}
    before, old = _unchanged(out, wanted)
    old |= _journalled(journal, wanted - old)
    left = [found for found in listing.found if _key(asdict(found)) not in old]
    failures = []
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as lines:
            outcomes = run_isolated(_TASK, (asdict(found) for found in left), workers=workers, seconds=seconds)
            for outcome in track(outcomes, "Indexing", total=len(left), unit="file"):
                if outcome.result is None:
                    failures.append({**outcome.item, "reason": outcome.reason})
                else:
                    lines.write(
                        "\n" + json.dumps(outcome.result)
                    )  # the break first: a killed run may have left half a line
                    lines.flush()
    except OSError as error:
        raise OutputError(
            f"cannot write beside {out}: {error.strerror or error}; choose a folder that you can write to"
        ) from error
    fresh = list(_batches(journal, wanted))
    return pa.Table.from_batches([*before.to_batches(), *fresh], FACTS), failures, len(left)


def _key(row: dict[str, Any]) -> Key:
    return row["folder"], row["path"], row["size_bytes"], row["mtime_ns"]


def _unchanged(out: Path, wanted: set[Key]) -> tuple[pa.Table, set[Key]]:
    """The rows of an earlier catalogue whose files have not changed, and their keys."""
    try:
        metadata = pq.read_schema(out).metadata or {}
        table = (
            pq.read_table(out, columns=FACTS.names).cast(FACTS) if metadata.get(b"usssl") == FORMAT.encode() else None
        )
    except (OSError, pa.ArrowException, ValueError, KeyError):
        table = None  # none yet, or one of another make: all is read again
    if table is None:
        return FACTS.empty_table(), set()
    keys = list(zip(*(table[name].to_pylist() for name in ("folder", "path", "size_bytes", "mtime_ns")), strict=True))
    same = [key in wanted for key in keys]
    return table.filter(pa.array(same, pa.bool_())), {key for key, kept in zip(keys, same, strict=True) if kept}


def _journal_rows(journal: Path) -> Iterator[dict[str, Any]]:
    if not journal.is_file():
        return
    with journal.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # the line that a killed run was writing


def _journalled(journal: Path, wanted: set[Key]) -> set[Key]:
    return {key for row in _journal_rows(journal) if (key := _key(row)) in wanted}


def _batches(journal: Path, wanted: set[Key]) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    for row in _journal_rows(journal):
        if _key(row) in wanted:
            rows.append(row)
        if len(rows) == _ROWS_PER_BATCH:
            yield pa.RecordBatch.from_pylist(rows, FACTS)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, FACTS)


def _ordered(facts: pa.Table, listing: Listing) -> pa.Table:
    """The rows in the order of the listing, each file once."""
    place = {(found.folder, found.path): number for number, found in enumerate(listing.found)}
    keys = zip(facts["folder"].to_pylist(), facts["path"].to_pylist(), strict=True)
    rows = {place[key]: row for row, key in enumerate(keys)}
    return facts.take(pa.array([rows[number] for number in sorted(rows)], pa.int64()))


def _described(
    facts: pa.Table, stated: dict[str, list[tuple[pa.Table, list[Path]]]], fractions: Sequence[float], out: Path
) -> tuple[pa.Table, int]:
    """The catalogue: facts, duplicates, splits and labels; and how many label rows name no cine."""
    count = facts.num_rows
    files = zip(facts["folder"].to_pylist(), facts["path"].to_pylist(), strict=True)
    rows = {Path(folder) / path: row for row, (folder, path) in enumerate(files)}
    labels, unmatched = join_labels(stated["labels.csv"], rows, count)
    patients = _patients(facts, labels.pop("patient", None))
    wanted = [stated_split(value) for value in labels.pop("split").to_pylist()] if "split" in labels else [None] * count
    ids = facts["id"].to_pylist()
    duplicates = find_duplicates(ids)
    splits = withhold_leaks(assign_splits(ids, patients, wanted, fractions), duplicates)
    paths = facts["path"].to_pylist()
    table = facts.set_column(
        facts.schema.get_field_index("patient"), FACTS.field("patient"), [pa.array(patients, pa.string())]
    )
    table = table.append_column(
        "duplicate_of", pa.array([None if row is None else paths[row] for row in duplicates], pa.string())
    )
    table = table.append_column("split", pa.array(splits, pa.string()))
    frame_counts = facts["frames"].to_numpy().astype(np.int64)
    columns = {**labels, **join_frames(stated["frames.csv"], rows, frame_counts)}
    gaze = join_gaze(stated["gaze.csv"], rows, count)
    if gaze is not None:
        columns["gaze"] = gaze
    for name, column in columns.items():
        if name not in table.column_names:
            table = table.append_column(name, column)
    return table, unmatched


def _patients(facts: pa.Table, labelled: pa.Array | None) -> list[str | None]:
    """Pseudonyms: of the labels where they name a patient, else of the file."""
    own = facts["patient"].to_pylist()
    if labelled is None:
        return own
    stated = pc.cast(labelled, pa.string()).to_pylist()
    return [label if label is not None else patient for label, patient in zip(stated, own, strict=True)]
