from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from usssl import progress
from usssl.data import index_folders, prepare, resolve_source
from usssl.data.part import prepare_cine
from usssl.errors import CineError, UsageError

SIZE = (24, 40)
WriteCine = Callable[..., Path]


@pytest.fixture
def cines(tmp_path: Path, write_cine: WriteCine) -> Path:
    folder = tmp_path / "cines"
    for number in range(3):
        write_cine(folder / f"{number}.mkv", seed=number)
    return folder


def test_a_folder_a_catalogue_and_a_store_give_the_same_frames(cines: Path, tmp_path: Path) -> None:
    index_folders(cines, tmp_path / "c.parquet", workers=0)
    prepare(tmp_path / "c.parquet", tmp_path / "store", size=SIZE, workers=0)
    stores = [
        resolve_source(source, size=SIZE, workers=0)
        for source in (str(cines), [cines], tmp_path / "c.parquet", str(tmp_path / "store"))
    ]
    assert len({store.id for store in stores}) == 1
    for store in stores[1:]:
        assert all(np.array_equal(store.frames(row), stores[0].frames(row)) for row in range(3))


def test_what_was_made_is_used_again_until_the_data_changes(cines: Path, write_cine: WriteCine) -> None:
    first = resolve_source(cines, size=SIZE, workers=0)
    made = (first.path / "index.arrow").stat().st_mtime_ns
    again = resolve_source(cines, size=SIZE, workers=0)
    assert (again.path, (again.path / "index.arrow").stat().st_mtime_ns) == (first.path, made)
    assert resolve_source(cines, size=(24, 44), workers=0).path != first.path
    write_cine(cines / "3.mkv", seed=3)
    assert len(resolve_source(cines, size=SIZE, workers=0)) == 4


def test_touching_a_file_does_not_prepare_it_again(cines: Path) -> None:
    first = resolve_source(cines, size=SIZE, workers=0)
    (cines / "0.mkv").touch()
    assert resolve_source(cines, size=SIZE, workers=0).path == first.path


def test_new_labels_do_not_decode_again(cines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve_source(cines, size=SIZE, workers=0)
    (cines / "labels.csv").write_text("file,grade\n1.mkv,5\n")
    monkeypatch.setattr("usssl.data.preparing._TASK", "json:loads")
    second = resolve_source(cines, size=SIZE, workers=0)
    assert second.path != first.path
    assert second.table["grade"].to_pylist() == [None, 5, None]
    assert np.array_equal(second.frames(1), first.frames(1))


def test_several_folders_are_one_source(cines: Path, tmp_path: Path, write_cine: WriteCine) -> None:
    write_cine(tmp_path / "more" / "9.mkv", seed=9)
    assert len(resolve_source([cines, tmp_path / "more"], size=SIZE, workers=0)) == 4


def test_two_processes_at_once_make_one_store(cines: Path, own_cache: Path) -> None:
    code = (
        "from usssl.data import resolve_source\n"
        f"store = resolve_source({str(cines)!r}, size={SIZE}, workers=1)\n"
        "print(store.path, sum(int(store.frames(row).sum()) for row in range(len(store))))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    one, two = (process.communicate(timeout=60)[0] for process in both)
    assert one == two != ""
    assert len(list((own_cache / "stores").iterdir())) == 1


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nowhere", "there is no data source"),
        ("samples:unicorn", "unicorn"),
        ("samples:fetal:many", "number of cines"),
        ("samples:fetal:0", "number of cines"),
    ],
)
def test_a_source_that_is_none_is_a_sentence(source: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        resolve_source(source, size=SIZE, workers=0)


def test_a_folder_without_cines_or_a_list_with_a_missing_one_is_a_sentence(cines: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no readable cine in"):
        resolve_source(tmp_path / "empty", size=SIZE, workers=0)
    (tmp_path / "empty" / "broken.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match="1 file failed"):
        resolve_source(tmp_path / "empty", size=SIZE, workers=0)
    with pytest.raises(UsageError, match="there is no folder"):
        resolve_source([cines, tmp_path / "gone"], size=SIZE, workers=0)


def test_a_file_is_no_source_and_said_to_be_there(cines: Path) -> None:
    for source in (cines / "0.mkv", [cines, cines / "0.mkv"]):
        with pytest.raises(UsageError, match=r"0\.mkv is a file: name the folder that holds it"):
            resolve_source(source, size=SIZE, workers=0)


def test_what_cannot_be_read_is_noted_each_time(
    cines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    resolve_source(cines, size=SIZE, workers=0, note=noted.append)
    assert noted == []
    (cines / "broken.mp4").write_bytes(b"")

    def prepare_some(item: dict[str, Any]) -> dict[str, Any]:
        if item["path"] == "0.mkv":
            raise CineError(item["path"], "it is damaged")
        return prepare_cine(item)

    monkeypatch.setattr("usssl.data.part.prepare_cine", prepare_some)
    monkeypatch.setattr(progress, "_quiet", False)
    for time in (1, 2):
        noted.clear()
        capsys.readouterr()
        resolve_source(cines, size=(24, 44), workers=0, note=noted.append)
        assert [line.partition(";")[0] for line in noted] == [
            f"1 file of {cines} cannot be read",
            "1 file cannot be decoded",
        ]
        said = capsys.readouterr().err
        assert noted[0] in said
        assert (noted[1] in said) is (time == 1)


def test_a_store_of_another_size_is_refused(cines: Path, tmp_path: Path) -> None:
    store = resolve_source(cines, size=SIZE, workers=0)
    with pytest.raises(UsageError, match=r"24x40.*not 32x40"):
        resolve_source(store.path, size=(32, 40), workers=0)


def test_colours_are_made_on_request_and_a_store_of_others_is_refused(cines: Path) -> None:
    grey, colour = resolve_source(cines, size=SIZE, workers=0), resolve_source(cines, size=SIZE, color="rgb", workers=0)
    assert (grey.color, colour.color, colour.read(0, [0]).shape) == ("grey", "rgb", (1, *SIZE, 3))
    assert resolve_source(colour.path, size=SIZE, color="rgb").id == colour.id
    with pytest.raises(UsageError, match=r"holds rgb frames, not grey.*--color grey"):
        resolve_source(colour.path, size=SIZE)


def test_samples_are_generated_once(own_cache: Path) -> None:
    phantom = pytest.importorskip("usssl.phantom")
    if not hasattr(phantom, "generate_samples"):
        pytest.skip("no sample generator")
    store = resolve_source("samples:fetal:2", size=SIZE, seed=3, workers=1)
    assert set(store.table["split"].to_pylist()) <= {"train", "val", "test"}
    labels = store.frame_labels(0, "plane")
    assert len(labels) == store.frame_counts[0]
    assert None not in labels
    assert len(store.fixations(0)) > 0
    assert store.read(0, [0]).std() > 5
    (folder,) = (path for path in (own_cache / "samples").iterdir() if path.is_dir())
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    resolve_source("samples:fetal", size=SIZE, cines=2, seed=3, workers=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")} == made
