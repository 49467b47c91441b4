from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import usssl
from usssl.data import index_folders, read_catalog
from usssl.errors import CatalogError, OutputError, UsageError

WriteCine = Callable[..., Path]


@pytest.fixture
def cines(tmp_path: Path, write_cine: WriteCine) -> Path:
    folder = tmp_path / "cines"
    for number in range(6):
        write_cine(folder / f"{number}.mkv", seed=number, frames=10 + number)
    return folder


def index(folder: Path, out: Path, **options: object) -> dict[str, dict]:
    index_folders([folder], out, workers=0, **options)
    return {row["path"]: row for row in read_catalog(out).to_pylist()}


def test_a_row_holds_the_facts_of_its_cine(cines: Path, tmp_path: Path) -> None:
    report = index_folders(cines, tmp_path / "c.parquet", workers=1)
    assert (report.cines, report.read, report.failed, report.failures) == (6, 6, 0, None)
    row = usssl.read_catalog(tmp_path / "c.parquet").to_pylist()[3]
    file = cines / "3.mkv"
    assert (
        row
        | {
            "folder": str(cines.resolve()),
            "path": "3.mkv",
            "size_bytes": file.stat().st_size,
            "container": "matroska",
            "codec": "ffv1",
            "frames": 13,
            "height": 48,
            "width": 64,
            "channels": 1,
            "fps": 20.0,
            "has_audio": False,
            "patient": None,
            "duplicate_of": None,
        }
        == row
    )
    assert row["duration_s"] == pytest.approx(13 / 20, abs=0.002)


def test_labels_are_joined_and_patients_become_pseudonyms(cines: Path, tmp_path: Path) -> None:
    (cines / "labels.csv").write_text(
        "file,patient,split,grade,patient_name,frames\n"
        "0.mkv,Jane Roe,test,2,Jane Roe,10\n1.mkv,Jane Roe,,1,Jane Roe,99\n2.mkv,John Doe,train,,John Doe,12\n"
    )
    (cines / "frames.csv").write_text("file,frame,time_s,plane\n0.mkv,1,0.05,femur\n")
    rows = index(cines, tmp_path / "c.parquet")
    assert [rows[f"{number}.mkv"]["grade"] for number in range(3)] == [2, 1, None]
    assert rows["0.mkv"]["split"] == rows["1.mkv"]["split"] == "test"
    assert rows["0.mkv"]["patient"] == rows["1.mkv"]["patient"] != rows["2.mkv"]["patient"]
    assert rows["0.mkv"]["plane"] == [None, "femur"] + [None] * 8
    assert rows["1.mkv"]["disagreements"] == ["the labels say frames 99, the file has 11"]
    assert rows["1.mkv"]["frames"] == 11
    everything = (tmp_path / "c.parquet").read_bytes() + json.dumps(rows).encode()
    assert b"Jane" not in everything
    assert b"Roe" not in everything


def test_a_label_file_that_is_named_takes_the_place_of_those_found(cines: Path, tmp_path: Path) -> None:
    (cines / "labels.csv").write_text("file,grade\n0.mkv,1\n")
    (tmp_path / "mine.csv").write_text("file,grade\n0.mkv,2\n")
    assert index(cines, tmp_path / "c.parquet", labels=tmp_path / "mine.csv")["0.mkv"]["grade"] == 2
    with pytest.raises(UsageError, match="there is no label file"):
        index_folders(cines, tmp_path / "d.parquet", labels=tmp_path / "none.csv", workers=0)
    assert not (tmp_path / "d.parquet").exists()


def test_contradictory_splits_leave_no_catalogue(cines: Path, tmp_path: Path) -> None:
    (cines / "labels.csv").write_text("file,patient,split\n0.mkv,a,test\n1.mkv,a,train\n")
    with pytest.raises(CatalogError, match="both show one patient"):
        index_folders(cines, tmp_path / "c.parquet", workers=0)
    assert not (tmp_path / "c.parquet").exists()


def test_splits_do_not_change_when_data_is_added(cines: Path, tmp_path: Path, write_cine: WriteCine) -> None:
    before = index(cines, tmp_path / "c.parquet")
    for number in range(6, 16):
        write_cine(cines / f"a{number}.mkv", seed=number)
    after = index(cines, tmp_path / "c.parquet")
    assert len(after) == 16
    assert {path: row["split"] for path, row in before.items()} == {path: after[path]["split"] for path in before}


def test_equal_content_is_one_original_and_duplicates_on_the_same_side(cines: Path, tmp_path: Path) -> None:
    shutil.copy(cines / "2.mkv", cines / "z.mkv")
    shutil.copy(cines / "3.mkv", cines / "y.mkv")
    (cines / "labels.csv").write_text("file,split\n3.mkv,train\ny.mkv,test\n")
    rows = index(cines, tmp_path / "c.parquet")
    assert rows["z.mkv"]["duplicate_of"] == "2.mkv"
    assert rows["z.mkv"]["split"] == rows["2.mkv"]["split"]
    assert (rows["3.mkv"]["split"], rows["y.mkv"]["split"], rows["y.mkv"]["duplicate_of"]) == ("train", None, "3.mkv")


def test_an_original_stays_the_original_when_a_copy_sorts_before_it(cines: Path, tmp_path: Path) -> None:
    index(cines, tmp_path / "c.parquet")
    shutil.copy(cines / "2.mkv", cines / "0copy.mkv")
    rows = index(cines, tmp_path / "c.parquet")
    assert rows["2.mkv"]["duplicate_of"] is None
    assert rows["0copy.mkv"]["duplicate_of"] == "2.mkv"


def test_unreadable_files_are_listed_with_their_reason(cines: Path, tmp_path: Path) -> None:
    (cines / "empty.mp4").write_bytes(b"")
    (cines / "text.dcm").write_text("not DICOM at all, only text, however long it may be " * 30)
    report = index_folders(cines, tmp_path / "c.parquet", workers=1)
    assert (report.cines, report.failed) == (6, 2)
    with (tmp_path / "c.parquet.failures.csv").open(newline="") as file:
        failures = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(failures) == {"empty.mp4", "text.dcm"}
    assert failures["empty.mp4"] == "the file is empty"
    for name in failures:
        (cines / name).unlink()
    assert index_folders(cines, tmp_path / "c.parquet", workers=1).failures is None
    assert not (tmp_path / "c.parquet.failures.csv").exists()


def test_unchanged_files_are_not_read_again_and_changed_ones_are(
    cines: Path, tmp_path: Path, write_cine: WriteCine
) -> None:
    before = index(cines, tmp_path / "c.parquet")
    assert index_folders(cines, tmp_path / "c.parquet", workers=0).read == 0
    write_cine(cines / "4.mkv", seed=99, frames=30)
    (cines / "5.mkv").unlink()
    report = index_folders(cines, tmp_path / "c.parquet", workers=0)
    assert report.read == 1
    after = {row["path"]: row for row in read_catalog(tmp_path / "c.parquet").to_pylist()}
    assert (after["4.mkv"]["frames"], before["4.mkv"]["frames"]) == (30, 14)
    assert "5.mkv" not in after
    assert after["0.mkv"] == before["0.mkv"]


def test_a_killed_run_goes_on_where_it_was(cines: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "c.parquet"
    code = (
        "import os, signal, usssl.data.reading as reading\n"
        "from usssl.data import index_folders\n"
        "def killed(items, *args, **kwargs):\n"
        "    for number, item in enumerate(items):\n"
        "        if number == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield item\n"
        "reading.track = killed\n"
        f"index_folders({str(cines)!r}, {str(out)!r}, workers=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    with (tmp_path / ".c.parquet.journal").open("a") as journal:
        journal.write('\n{"folder": "half a li')
    report = index_folders(cines, out, workers=1)
    assert (report.cines, report.read) == (6, 2)
    fresh = tmp_path / "fresh.parquet"
    index_folders(cines, fresh, workers=1)
    assert pq.read_table(out) == pq.read_table(fresh)
    assert not (tmp_path / ".c.parquet.journal").exists()


def test_two_processes_that_index_the_same_agree(cines: Path, tmp_path: Path) -> None:
    arguments = f"{str(cines)!r}, {str(tmp_path / 'c.parquet')!r}, workers=1"
    code = f"from usssl.data import index_folders; index_folders({arguments})"
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    for process in both:
        assert process.stderr is not None
        process.stderr.close()
    assert read_catalog(tmp_path / "c.parquet").num_rows == 6


def test_a_place_that_cannot_be_written_is_a_sentence(cines: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        index_folders(cines, tmp_path / "file" / "c.parquet", workers=0)


@pytest.mark.parametrize("content", [b"", b"PAR1 but no more", b"path,frames\n"])
def test_what_is_no_catalogue_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.parquet").write_bytes(content)
    with pytest.raises(CatalogError, match="is not a catalogue"):
        read_catalog(tmp_path / "c.parquet")


def test_another_parquet_table_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "c.parquet")
    with pytest.raises(CatalogError, match="not a catalogue"):
        read_catalog(tmp_path / "c.parquet")
    with pytest.raises(CatalogError, match="cannot read the catalogue"):
        read_catalog(tmp_path / "none.parquet")


def test_a_catalogue_is_mapped_not_loaded(cines: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    index(cines, tmp_path / "c.parquet")
    held = pa.total_allocated_bytes()
    table = read_catalog(tmp_path / "c.parquet")
    assert table.nbytes > 1000
    assert pa.total_allocated_bytes() - held < 1000


def test_a_folder_that_is_being_written_to_is_not_a_hang(cines: Path, tmp_path: Path) -> None:
    os.mkfifo(cines / "pipe.mp4")
    started = time.monotonic()
    report = index_folders(cines, tmp_path / "c.parquet", workers=1, seconds=5)
    assert (report.cines, report.failed) == (6, 1)
    assert time.monotonic() - started < 20
