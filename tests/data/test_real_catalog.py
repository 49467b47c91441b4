"""Everything in the folder of real data is listed, with the facts that the data sets' own tables state."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from usssl import progress
from usssl.data import index_folders, read_catalog

STATED = {
    "frames": ("frames", "frames_decoded", "n"),
    "width": ("width", "w", "cols"),
    "height": ("height", "h", "rows"),
    "fps": ("fps",),
    "codec": ("codec", "video_codec"),
    "transfer_syntax": ("transfer_syntax",),
    "pixel_format": ("pix_fmt", "photometric"),
    "modality": ("modality",),
    "manufacturer": ("manufacturer",),
    "size_bytes": ("size_bytes",),
}

EXPLAINED = {
    ("video_io/files/video_90.mov", "width"): "the table states the stored size; it is shown turned by 90 degrees",
    ("video_io/files/video_90.mov", "height"): "as its width",
    ("video_io/files/av1_video.mkv", "codec"): "the table names PyAV's decoder, libdav1d",
    ("video_io/files/corrupted.mp4", "frames"): "decoding in order stops one whole frame earlier than the damage",
    (
        "video_io/files/part_0.mp4",
        "fps",
    ): "the first frame is shown for longer, which lowers the mean rate",
    ("natural_gestures/clips/brother.mkv", "fps"): "the first frame is shown for longer",
    ("us_misc/files/gastroc_jumping_048.png", "fps"): "a still has no rate; the table states that of its recording",
    ("us_misc/files/gastroc_jumping_048.png", "codec"): "all still images are of the codec 'image'",
    ("dicom_us/files/mpeg4avc_in_dicom_75f.dcm", "pixel_format"): "that of the video stream inside, not of the header",
}


@pytest.fixture(scope="module")
def rows(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USSSL_CACHE", str(folder / "cache"))
        patch.setenv("USSSL_KEY", str(folder / "key"))
        patch.setattr(progress, "_quiet", True)
        report = index_folders(test_data, folder / "c.parquet", workers=2)
        assert report.failures is None, report.failures.read_text()
        return {row["path"]: row for row in read_catalog(report.catalog).to_pylist()}


def tables(test_data: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for table in sorted([*test_data.glob("*/labels.csv"), *test_data.glob("*/manifest.csv")]):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                path = f"{table.parent.name}/{row.get('file') or row.get('image')}"
                if not path.endswith(".wav"):
                    yield path, row


def agrees(stated: str, fact: Any) -> bool:
    try:
        return abs(float(stated) - float(fact)) <= max(1e-3 * abs(float(stated)), 0.006)
    except (TypeError, ValueError):
        return stated == str(fact)


def test_every_file_that_the_tables_list_is_a_row(rows: dict[str, dict], test_data: Path) -> None:
    listed = {path for path, _ in tables(test_data)}
    assert len(listed) > 300
    assert listed <= set(rows)


def test_the_facts_are_those_of_the_tables_or_the_difference_is_explained(
    rows: dict[str, dict], test_data: Path
) -> None:
    compared, differing = 0, {}
    for path, stated in tables(test_data):
        for fact, columns in STATED.items():
            for column in columns:
                if stated.get(column):
                    compared += 1
                    if not agrees(stated[column], rows[path][fact]):
                        differing[path, fact] = f"stated {stated[column]}, found {rows[path][fact]}"
    assert compared > 1400
    assert {key: found for key, found in differing.items() if key not in EXPLAINED} == {}


def test_the_rate_of_dicom_files_follows_their_frame_time(rows: dict[str, dict], test_data: Path) -> None:
    timed = {path: row for path, row in tables(test_data) if row.get("frame_time_ms")}
    assert len(timed) >= 5
    for path, row in timed.items():
        assert rows[path]["fps"] == pytest.approx(1000 / float(row["frame_time_ms"]), rel=1e-3)


def test_patients_stay_on_one_side_and_under_a_pseudonym(rows: dict[str, dict], test_data: Path) -> None:
    covid = {path: row for path, row in tables(test_data) if path.startswith("covid_blues/")}
    sides: dict[str, set[str]] = {}
    for path, stated in covid.items():
        assert rows[path]["split"] == stated["split"]
        assert rows[path]["patient"] != stated["patient"]
        sides.setdefault(rows[path]["patient"], set()).add(rows[path]["split"])
    assert len(sides) == 13
    assert all(len(splits) == 1 for splits in sides.values())


def test_groups_stay_on_one_side(rows: dict[str, dict]) -> None:
    sides: dict[str, set[str]] = {}
    for path, row in rows.items():
        if path.startswith("pocus_lung_us/") and row["duplicate_of"] is None:
            sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) > 5
    assert all(len(splits) == 1 for splits in sides.values())


def test_a_sound_track_is_not_yet_sound(rows: dict[str, dict], test_data: Path) -> None:
    silent = [path for path, row in tables(test_data) if row.get("audio_stream") == "1"]
    assert len(silent) == 8
    assert all(rows[path]["has_audio"] and rows[path]["silent"] for path in silent)
    heard = [path for path in rows if path.startswith("av_clips/")]
    assert all(rows[path]["has_audio"] and not rows[path]["silent"] for path in heard)


def test_identifiers_of_the_tables_are_left_out(rows: dict[str, dict]) -> None:
    assert "patient_id_stated" not in next(iter(rows.values()))
