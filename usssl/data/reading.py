"""Read the facts of many files: unchanged ones from the last catalogue, the others in worker processes, resumably."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from usssl.data.catalog import FORMAT
from usssl.data.facts import FACTS, reader_version
from usssl.data.folders import Found
from usssl.data.workers import run_isolated
from usssl.errors import OutputError
from usssl.progress import track

_TASK = "usssl.data.facts:read_facts"
_KEY = ("folder", "path", "size_bytes", "mtime_ns")
_ROWS_PER_BATCH = 4096


def read_all(
    found: list[Found], before: Path, journal: Path, *, workers: int | None, seconds: float
) -> tuple[pa.Table, list[dict[str, Any]], int]:
    """The facts of all files that can be read, in the order given.

    Args:
        found: the files.
        before: an earlier catalogue, if there is one; it lends the facts of files that have not changed.
        journal: what a run notes facts in as it goes, and takes up after it was killed.
        workers: worker processes, as `run_isolated`.
        seconds: time limit for one file.

    Returns:
        A table of the schema `FACTS`, the failures (folder, path, reason), and the number of files that were opened.

    Raises:
        OutputError: the journal cannot be written.
    """
    places = {(one.folder, one.path, one.size_bytes, one.mtime_ns): place for place, one in enumerate(found)}
    known = dict.fromkeys(_places_before(before, places))
    known |= dict.fromkeys(place for place, _ in _journalled(journal, places))
    left = [one for place, one in enumerate(found) if place not in known]
    failures = []
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as lines:
            outcomes = run_isolated(_TASK, (asdict(one) for one in left), workers=workers, seconds=seconds)
            for outcome in track(outcomes, "Indexing", total=len(left), unit="file"):
                if outcome.result is None:
                    failures.append({**outcome.item, "reason": outcome.reason})
                else:
                    # The line break comes first: a killed run may have left half a line.
                    lines.write("\n" + json.dumps({**outcome.result, "reader": reader_version()}))
                    lines.flush()
    except OSError as error:
        raise OutputError(
            f"cannot write {journal}: {error.strerror or error}; choose a catalogue in a folder that you can write to"
        ) from error
    return _assembled(before, journal, places), failures, len(left)


def _assembled(before: Path, journal: Path, places: dict[tuple[Any, ...], int]) -> pa.Table:
    """Old and fresh rows in the order of the files, each once."""
    old, old_places = _rows_before(before, places)
    batches, fresh_places, rows = [], [], []
    for place, row in _journalled(journal, places):
        fresh_places.append(place)
        rows.append(row)
        if len(rows) == _ROWS_PER_BATCH:
            batches.append(pa.RecordBatch.from_pylist(rows, FACTS))
            rows = []
    batches.append(pa.RecordBatch.from_pylist(rows, FACTS))
    table = pa.Table.from_batches([*old.to_batches(), *batches], FACTS)
    row_of = {place: row for row, place in enumerate([*old_places, *fresh_places])}
    return table.take(pa.array([row_of[place] for place in sorted(row_of)], pa.int64())).combine_chunks()


def _rows_before(before: Path, places: dict[tuple[Any, ...], int]) -> tuple[pa.Table, list[int]]:
    """The rows of an earlier catalogue whose files have not changed, and the places of these files."""
    try:
        metadata = pq.read_schema(before).metadata or {}
        if (metadata.get(b"usssl"), metadata.get(b"usssl reader")) != (FORMAT.encode(), reader_version().encode()):
            return FACTS.empty_table(), []  # of another version
        table = pq.read_table(before, columns=FACTS.names).cast(FACTS)
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return FACTS.empty_table(), []  # none yet, or one of another make: all is read again
    keys = zip(*(table[name].to_pylist() for name in _KEY), strict=True)
    found = [places.get(key, -1) for key in keys]
    kept = table.filter(pa.array([place >= 0 for place in found], pa.bool_()))
    return kept, [place for place in found if place >= 0]


def _places_before(before: Path, places: dict[tuple[Any, ...], int]) -> list[int]:
    return _rows_before(before, places)[1]


def _journalled(journal: Path, places: dict[tuple[Any, ...], int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Place and facts of each file in the journal that is still wanted as it was."""
    if not journal.is_file():
        return
    with journal.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                if row.pop("reader") != reader_version():
                    continue
                place = places.get(tuple(row[name] for name in _KEY))
            except (ValueError, KeyError, TypeError):
                continue  # the line that a killed run was writing
            if place is not None:
                yield place, row
