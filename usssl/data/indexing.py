"""Make a catalogue of folders: read facts once, join labels, split by patient, and list what cannot be read.

An interrupted run leaves a journal beside the catalogue and picks up from it; a file that has not changed since the
last catalogue is not read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from usssl.data.cache import lock_for, locked, replace_whole
from usssl.data.catalog import write_catalog
from usssl.data.describing import describe, label_tables
from usssl.data.folders import list_folders
from usssl.data.reading import read_all
from usssl.data.splits import check_fractions, count_splits


@dataclass(frozen=True)
class IndexReport:
    """What indexing did.

    Attributes:
        catalog: the catalogue.
        failures: the list of files that could not be read (columns folder, path, reason); None if there are none.
        cines: rows of the catalogue.
        read: files that were opened in this run; the others had not changed.
        failed: files and folders that could not be read.
        duplicates: cines whose content another row holds.
        splits: cines of each split; "withheld" counts duplicates kept out of every split.
        skipped: files that are plainly not cines, by ending.
        unmatched: label rows that name no cine.
        disagreements: cines of which the labels state another size, rate or length than the file has.
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
    disagreements: int = 0

    def __str__(self) -> str:
        """One line for a person: splits, duplicates, what was passed over, where labels and files disagree."""
        notes = [" ".join(f"{name} {count}," for name, count in self.splits.items() if count).rstrip(",")]
        if self.duplicates:
            notes.append(_counted(self.duplicates, "duplicate"))
        if self.unmatched:
            notes.append(f"{_counted(self.unmatched, 'row')} of labels without a cine")
        if self.disagreements:
            notes.append(f"{_counted(self.disagreements, 'cine')} with other facts than the labels say")
        if self.skipped:
            kinds = sorted(self.skipped.items(), key=lambda kind: (-kind[1], kind[0]))
            notes.append("no cines: " + ", ".join(f"{count} {ending}" for ending, count in kinds))
        return "; ".join(note for note in notes if note)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def index_folders(
    folders: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    labels: str | Path | None = None,
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
        CatalogError: the labels put one patient in two splits.
        OutputError: `out` cannot be written.
    """
    fractions = check_fractions(split)
    out = Path(out)
    listing = list_folders([folders] if isinstance(folders, str | Path) else folders)
    tables = label_tables(listing, None if labels is None else Path(labels))
    journal = out.with_name(f".{out.name}.journal")
    with locked(lock_for(out)):
        facts, failures, read = read_all(listing.found, out, journal, workers=workers, seconds=seconds)
        failures += [dict(zip(("folder", "path", "reason"), row, strict=True)) for row in listing.closed]
        table, unmatched = describe(facts, tables, fractions, out)
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
        disagreements=sum(1 for sentences in table["disagreements"].to_pylist() if sentences),
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
