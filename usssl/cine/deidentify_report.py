"""What became of a folder that was de-identified, for the caller, and in tables that name nobody."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usssl.cine.video_writing import atomic_path


@dataclass(frozen=True)
class Failure:
    """A file that was not written.

    Attributes:
        path: of the original; for the caller, never for an output.
        number: its place among the files found, from 1.
        reason: why, in full.
        held_back: whether it could be read, but text over its image may remain.
    """

    path: Path
    number: int
    reason: str
    held_back: bool = False

    @property
    def public_reason(self) -> str:
        """The reason without what it quotes from the file."""
        plain = re.sub(r"\([^()]*\)|'[^']*'|\"[^\"]*\"|\b[A-Za-z0-9._^]*\d[A-Za-z0-9._^]*", "…", self.reason)
        return re.sub(r"\s+", " ", plain)[:200]


@dataclass(frozen=True)
class Report:
    """What became of a folder.

    Attributes:
        out: the folder of outputs.
        review: the review sheet.
        written: files written by this call.
        already: files that an earlier call had written.
        ignored: files that are no cines (tables, documents).
        unsearched: written cines over whose image text may remain; a person has to look.
        failures: files that were not written, as they failed or are held back.
    """

    out: Path
    review: Path
    written: int
    already: int
    ignored: int
    unsearched: int
    failures: tuple[Failure, ...]

    @property
    def failed(self) -> int:
        """How many files could not be read or written."""
        return len(self.failures) - self.held_back

    @property
    def held_back(self) -> int:
        """How many files were not written because text over the image may remain."""
        return sum(failure.held_back for failure in self.failures)

    @property
    def exit_code(self) -> int:
        """1 if some files failed or are held back, else 0."""
        return 1 if self.failures else 0


def write_failures(out: Path, failures: list[Failure]) -> None:
    """Writes `failures.csv` (number, outcome, reason) without names, or removes an earlier one."""
    rows = [[one.number, "held back" if one.held_back else "failed", one.public_reason] for one in failures]
    write_table(out / "failures.csv", ["number", "outcome", "reason"], rows)


def write_table(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Writes a table, or removes an earlier one where there are no rows."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def summary(report: Report) -> str:
    """The report in a line."""
    parts = [f"{report.written} written"]
    if report.already:
        parts.append(f"{report.already} there already")
    if report.held_back:
        parts.append(f"{report.held_back} held back, since text over the image may remain")
    if report.failed:
        parts.append(f"{report.failed} failed")
    if report.unsearched:
        parts.append(f"{report.unsearched} want a look: open {report.review}")
    return "De-identified: " + ", ".join(parts)
