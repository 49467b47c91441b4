"""The tables of a sample collection, gathered from the records of its cines; and which patient is in which split."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from usssl.errors import UsageError
from usssl.phantom.records import GENERATOR, CineRecord, read_record

LABELS = ("file", "patient", "split", "kind", "fps", "frames", "height", "width", "spacing_mm")
FRAMES = ("file", "frame", "time_s", "plane")
GAZE = ("file", "frame", "time_s", "x", "y")

_VIDEO_SUFFIXES = (".mp4", ".dcm")
_GOLDEN = 0.6180339887498949
_TRAIN, _VAL = 0.60, 0.75

_README = """# Simulated fetal ultrasound cines

Made by `usssl samples`. Everything here is synthetic: no patient was scanned, and every name, number, date and vendor
that the pixels or headers show is invented. Licence: CC0 1.0 (public domain).

| file | content |
|---|---|
| `cines/` | the cines, H.264 MP4 or DICOM Ultrasound Multi-frame |
| `labels.csv` | a row a file: patient, split (by patient), frame rate, size, pixel spacing |
| `frames.csv` | a row a frame: the standard plane that it shows (by geometry), or `background` |
| `gaze.csv` | a row a gaze sample: x and y from 0 to 1 across the frame |
| `saliency/` | `numpy.load` reads a file a cine: `maps` (frames, height / 4, width / 4), up to 255; gaze, labels |

A tool for trying software out. Its numbers say nothing about clinical use.
"""


def split_of(patient: int) -> str:
    """The split of a patient by number: about 60 % train, 15 % val, 25 % test.

    Multiples of the golden ratio spread evenly, so the shares hold in small collections too, and no patient ever moves.
    """
    place = patient * _GOLDEN % 1.0
    return "train" if place < _TRAIN else "val" if place < _VAL else "test"


def check_collection(folder: Path, *, kind: str, seed: int, size: tuple[int, int], frames: int) -> None:
    """Refuses to mix samples made with other arguments.

    Raises:
        UsageError: if the folder holds such samples.
    """
    for path, record in _records(folder):
        made_with = (record.kind, record.seed, len(record.planes), record.size, record.generator)
        if made_with != (kind, seed, frames, size, GENERATOR):
            height, width = record.size
            raise UsageError(
                f"{folder} already holds samples of kind {record.kind}, seed {record.seed}, "
                f"{len(record.planes)} frames of {height} × {width}, generator {record.generator} ({path.name}); "
                "choose another folder, or remove them first"
            )


def write_tables(folder: Path) -> None:
    """Writes labels.csv, frames.csv, gaze.csv and README.md of all complete cines in a folder."""
    from usssl.cine.video_writing import atomic_path

    found = [
        (f"cines/{path.stem}{suffix}", record)
        for path, record in _records(folder)
        for suffix in _VIDEO_SUFFIXES
        if (folder / "cines" / (path.stem + suffix)).is_file()
    ]
    _write(folder / "labels.csv", LABELS, (_label_row(file, record) for file, record in found))
    _write(folder / "frames.csv", FRAMES, (row for file, record in found for row in _frame_rows(file, record)))
    _write(folder / "gaze.csv", GAZE, (row for file, record in found for row in _gaze_rows(file, record)))
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text(_README, encoding="utf-8")


def _records(folder: Path) -> Iterator[tuple[Path, CineRecord]]:
    for path in sorted((folder / "saliency").glob("p*_*.zip")):
        record = read_record(path)
        if record is not None:
            yield path, record


def _label_row(file: str, record: CineRecord) -> tuple[object, ...]:
    split = split_of(int(record.patient[1:]))
    frames, (height, width) = len(record.planes), record.size
    return file, record.patient, split, record.kind, record.fps, frames, height, width, f"{record.spacing_mm:.5f}"


def _frame_rows(file: str, record: CineRecord) -> Iterator[tuple[object, ...]]:
    for frame, plane in enumerate(record.planes):
        yield file, frame, f"{frame / record.fps:.4f}", plane


def _gaze_rows(file: str, record: CineRecord) -> Iterator[tuple[object, ...]]:
    for frame, time, (x, y) in zip(record.gaze_frame, record.gaze_time_s, record.gaze, strict=True):
        yield file, frame, f"{time:.4f}", f"{x:.4f}", f"{y:.4f}"


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    from usssl.cine.video_writing import atomic_path

    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
