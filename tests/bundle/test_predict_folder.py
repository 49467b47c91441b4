"""A bundle over a folder that holds MP4, DICOM, other things and a broken file."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.bundles import make_tiny_bundle
from usssl.bundle import Bundle, folder, open_bundle, predict_folder
from usssl.bundle.inputs import find_cines
from usssl.bundle.pictures import blend
from usssl.cine import open_cine, write_dicom, write_video
from usssl.cine.sector import Box
from usssl.errors import OutputError, UsageError

ALL = ("planes", "saliency", "retrieval", "recognition")
NAME = "Mustermann^Erika"
FRAMES = 12


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(make_tiny_bundle(tmp_path_factory.mktemp("b") / "tiny", ALL), device="cpu", threads=1)


def brightening(seed: int, frames: int = FRAMES) -> np.ndarray:
    """A cine that starts dark and ends bright, so that its best dark and bright frames are known."""
    rng = np.random.default_rng(seed)
    level = np.linspace(30, 250, frames)[:, None, None]
    return np.clip(level + rng.normal(0, 2, (frames, 96, 128)), 20, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cines")
    (root / "ward").mkdir()
    write_video(root / "ward/sweep.mp4", brightening(0), 20.0)
    write_dicom(
        root / "IM0001", brightening(1)[::-1], 25.0, patient_name=NAME, patient_id="PID-4711", transfer_syntax="rle"
    )
    (root / "broken.mp4").write_bytes((root / "ward/sweep.mp4").read_bytes()[:700])
    (root / "empty.dcm").write_bytes(b"")
    (root / "notes.txt").write_text("not a cine")
    (root / "labels.csv").write_text("file,plane\n")
    (root / ".hidden.mp4").write_bytes((root / "ward/sweep.mp4").read_bytes())
    (root / "ward/up").symlink_to(root, target_is_directory=True)
    return root


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def done(bundle: Bundle, cines: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, folder.PredictionReport]:
    out = tmp_path_factory.mktemp("out") / "predictions"
    return out, predict_folder(bundle, [cines], out, saliency=True, embeddings=True, stills=True, video=True)


def test_report(done: tuple[Path, folder.PredictionReport]) -> None:
    report = done[1]
    assert (report.cines, report.frames, report.failed, report.passed_over) == (2, 2 * FRAMES, 2, 2)
    assert [path for path, _ in sorted(report.failures)] == ["broken.mp4", "empty.dcm"]


def test_failures_are_listed_with_a_reason(done: tuple[Path, folder.PredictionReport]) -> None:
    with (done[0] / "failures.csv").open(newline="") as file:
        failures = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(failures) == {"broken.mp4", "empty.dcm"}
    assert "empty" in failures["empty.dcm"]
    assert all(failures.values())


def test_frames_table(done: tuple[Path, folder.PredictionReport], bundle: Bundle, cines: Path) -> None:
    table = pq.read_table(done[0] / "frames.parquet")
    assert table.column_names == ["cine", "path", "frame", "time_s", "background", "dark", "bright", "best", "entropy"]
    rows = [row for row in table.to_pylist() if row["path"] == "ward/sweep.mp4"]
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    np.testing.assert_allclose([row["time_s"] for row in rows], np.arange(FRAMES) / 20, atol=1e-3)
    with open_cine(cines / "ward/sweep.mp4", color="grey") as cine:
        alone = bundle.predict(cine)
        assert {row["cine"] for row in rows} == {cine.id}
    np.testing.assert_allclose([row["bright"] for row in rows], alone.plane_probs[:, 2], atol=1e-6)
    assert (rows[0]["best"], rows[-1]["best"]) == ("dark", "bright")
    np.testing.assert_allclose(rows[0]["entropy"], alone.entropy[0], atol=1e-6)


def test_cines_table(done: tuple[Path, folder.PredictionReport]) -> None:
    rows = {row["path"]: row for row in rows_of(done[0] / "cines.parquet")}
    assert set(rows) == {"ward/sweep.mp4", "IM0001"}
    assert rows["ward/sweep.mp4"]["bright_frame"] == FRAMES - 1
    assert rows["IM0001"]["bright_frame"] == 0  # written backwards
    assert rows["IM0001"]["dark_time_s"] == pytest.approx((FRAMES - 1) / 25)
    assert rows["IM0001"]["bright_prob"] > 0.9
    for row in rows.values():
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == (0, 0, 128, 96)
        assert row["cine_background"] + row["cine_dark"] + row["cine_bright"] == pytest.approx(1)
        assert "background_frame" not in row


def test_run_file(done: tuple[Path, folder.PredictionReport], bundle: Bundle) -> None:
    run = json.loads((done[0] / "run.json").read_text())
    assert run["state"] == "done"
    assert run["bundle"]["sha256"] == bundle.metadata.usssl.sha256
    assert run["arguments"]["saliency"] is True
    assert run["packages"]["numpy"] == np.__version__
    assert run["cines"] == 2


def test_saliency_and_embeddings(done: tuple[Path, folder.PredictionReport], bundle: Bundle, cines: Path) -> None:
    with open_cine(cines / "IM0001", color="grey") as cine:
        alone, name = bundle.predict(cine), cine.id
    with np.load(done[0] / f"saliency/{name}.npz") as stored:
        np.testing.assert_array_equal(stored["saliency"], alone.saliency)
        np.testing.assert_array_equal(stored["window"], alone.window)
    with np.load(done[0] / f"embeddings/{name}.npz") as stored:
        np.testing.assert_array_equal(stored["embedding"], alone.embedding)


def test_stills_and_video(done: tuple[Path, folder.PredictionReport]) -> None:
    stills = sorted((done[0] / "stills").iterdir())
    assert len(stills) == 4
    bright = next(path for path in stills if path.name.endswith(f"_bright_frame{FRAMES - 1:05d}.png"))
    image = cv2.imread(str(bright), cv2.IMREAD_UNCHANGED)
    assert image.shape == (96, 128)
    assert image.mean() > 230
    videos = list((done[0] / "videos").iterdir())
    assert len(videos) == 2
    with open_cine(videos[0]) as overlay:
        assert overlay.shape == (FRAMES, 96 + 24, 128, 3)


def test_no_identifier_reaches_an_output(done: tuple[Path, folder.PredictionReport]) -> None:
    for path in done[0].rglob("*"):
        assert "Mustermann" not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert b"Mustermann" not in content
            assert b"4711" not in content or path.suffix in {".png", ".mp4", ".npz"}


def test_a_second_run_takes_up_what_is_done(
    bundle: Bundle, cines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(cines / "ward", source, ignore=shutil.ignore_patterns("up"))
    predict_folder(bundle, [source], tmp_path / "out")
    first = (tmp_path / "out/frames.parquet").read_bytes()
    opened: list[str] = []

    def counting(path: Path, **options: object) -> object:
        opened.append(path.name)
        return open_cine(path, **options)

    monkeypatch.setattr(folder, "open_cine", counting)
    report = predict_folder(bundle, [source], tmp_path / "out")
    assert opened == []
    assert (report.cines, report.frames) == (1, FRAMES)
    assert (tmp_path / "out/frames.parquet").read_bytes() == first
    write_video(source / "later.mp4", brightening(3), 20.0)
    assert predict_folder(bundle, [source], tmp_path / "out").cines == 2
    assert opened == ["later.mp4"]
    write_video(source / "later.mp4", brightening(4, frames=5), 20.0)
    assert predict_folder(bundle, [source], tmp_path / "out").frames == FRAMES + 5
    predict_folder(bundle, [source], tmp_path / "out", saliency=True)
    assert len(opened) == 4  # the maps were not there yet


def test_a_stopped_run_keeps_what_is_finished(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        write_video(tmp_path / f"in/{number}.mp4", brightening(number), 20.0)
    calls = threading.Semaphore(3)

    def until_the_third(path: Path, **options: object) -> object:
        if not calls.acquire(blocking=False):
            raise KeyboardInterrupt
        return open_cine(path, **options)

    monkeypatch.setattr(folder, "open_cine", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        predict_folder(bundle, [tmp_path / "in"], tmp_path / "out", workers=1)
    assert len(rows_of(tmp_path / "out/cines.parquet")) == 3
    assert json.loads((tmp_path / "out/run.json").read_text())["state"] == "stopped"
    monkeypatch.setattr(folder, "open_cine", open_cine)
    assert predict_folder(bundle, [tmp_path / "in"], tmp_path / "out", workers=2).cines == 6


def test_a_file_that_killed_a_run_is_read_in_a_process_of_its_own(
    bundle: Bundle, cines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from usssl.bundle import folder, open_bundle\n"
        "folder.open_cine = lambda path, **options: os._exit(9)  # as a decoder that crashes\n"
        "folder.predict_folder(open_bundle(sys.argv[1]), [Path(sys.argv[2])], sys.argv[3])\n"
    )
    arguments = [str(bundle.path), str(cines / "IM0001"), str(tmp_path / "out")]
    died = subprocess.run([sys.executable, "-c", code, *arguments], cwd=repository, timeout=120, check=False)
    assert died.returncode == 9
    monkeypatch.setattr(folder, "open_cine", None)
    report = predict_folder(bundle, [cines / "IM0001"], tmp_path / "out")
    assert (report.cines, report.failures) == (1, ())
    assert not list((tmp_path / "out").rglob("*.begun"))


def test_a_single_file_and_several_inputs(bundle: Bundle, cines: Path, tmp_path: Path) -> None:
    report = predict_folder(bundle, [cines / "IM0001"], tmp_path / "one")
    assert [row["path"] for row in rows_of(tmp_path / "one/cines.parquet")] == ["IM0001"]
    assert report.failed == 0
    (tmp_path / "ward").mkdir()
    shutil.copy(cines / "ward/sweep.mp4", tmp_path / "ward")
    predict_folder(bundle, [tmp_path / "ward", tmp_path / "ward/sweep.mp4", cines / "IM0001"], tmp_path / "more")
    names = [row["path"] for row in rows_of(tmp_path / "more/cines.parquet")]
    assert sorted(names) == ["IM0001", "ward/sweep.mp4"]


def test_everything_fails_and_tables_are_there(bundle: Bundle, cines: Path, tmp_path: Path) -> None:
    report = predict_folder(bundle, [cines / "notes.txt"], tmp_path / "out")
    assert (report.cines, report.failed) == (0, 1)
    assert pq.read_table(tmp_path / "out/frames.parquet").num_rows == 0
    assert "bright_frame" in pq.read_table(tmp_path / "out/cines.parquet").column_names


def test_wrong_use(bundle: Bundle, cines: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        predict_folder(bundle, [tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="no cines"):
        predict_folder(bundle, [tmp_path / "nothing"], tmp_path / "out")
    with pytest.raises(UsageError, match="at least 1"):
        predict_folder(bundle, [cines], tmp_path / "out", workers=0)
    planes = open_bundle(make_tiny_bundle(tmp_path / "planes", ("planes",)), device="cpu")
    with pytest.raises(UsageError, match="--saliency needs"):
        predict_folder(planes, [cines], tmp_path / "out", saliency=True)
    maps = open_bundle(make_tiny_bundle(tmp_path / "maps", ("saliency",)), device="cpu")
    with pytest.raises(UsageError, match="ask for --saliency"):
        predict_folder(maps, [cines], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        predict_folder(bundle, [cines], tmp_path / "file/out")


def test_a_folder_of_another_bundle_is_refused(
    done: tuple[Path, folder.PredictionReport], cines: Path, tmp_path: Path
) -> None:
    other = open_bundle(make_tiny_bundle(tmp_path / "other", ("planes",)), device="cpu")
    with pytest.raises(UsageError, match="another bundle"):
        predict_folder(other, [cines], done[0])


def test_the_output_may_lie_in_the_input(bundle: Bundle, cines: Path, tmp_path: Path) -> None:
    shutil.copy(cines / "IM0001", tmp_path / "IM0001")
    for _ in range(2):
        assert predict_folder(bundle, [tmp_path], tmp_path / "out", video=True).cines == 1


def test_office_documents_are_no_cines(tmp_path: Path) -> None:
    (tmp_path / "letter.docx").write_bytes(b"PK\x03\x04" + bytes(2000))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(900))
    (tmp_path / "noname").write_bytes(bytes(128) + b"DICM" + bytes(900))
    found, others = find_cines([tmp_path], tmp_path / "out")
    assert [cine.name for cine in found] == ["noname"]
    assert others == 2


def test_a_long_row_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "a/dangling.mp4").symlink_to(tmp_path / "gone")
    assert find_cines([tmp_path], tmp_path / "out") == ([], 0)


def test_blend_puts_the_map_where_the_window_is() -> None:
    """A map that is hot in its lower right quarter, over a window that is the left half of the frame."""
    saliency = np.zeros((4, 4), np.float32)
    saliency[2:, 2:] = 0.25
    image = np.zeros((40, 80, 3), np.uint8)
    out = blend(image, saliency, (0, 0, 40, 40), Box(0, 0, 80, 40)).max(axis=2)
    assert out[25:35, 25:35].min() > 100
    assert out[:10].max() == 0
    assert out[:, 50:].max() == 0


def test_real_cines(bundle: Bundle, test_data: Path, tmp_path: Path) -> None:
    """Real MP4 and DICOM files, one of them truncated."""
    videos = sorted((test_data / "covid_blues/lus_videos").glob("*.mp4"))[:2]
    dicoms = sorted((test_data / "dicom_us/files").glob("*.dcm"))
    if not videos or not dicoms:
        pytest.skip("covid_blues or dicom_us is not among the real data")
    source = tmp_path / "in"
    source.mkdir()
    for path in [*videos, *dicoms]:
        shutil.copy(path, source)
    (source / "cut.dcm").write_bytes(dicoms[0].read_bytes()[:300])
    report = predict_folder(bundle, [source], tmp_path / "out", workers=2)
    assert "cut.dcm" in dict(report.failures)
    assert report.cines + report.failed == len(videos) + len(dicoms) + 1
    assert report.cines >= len(videos) + 1
    rows = rows_of(tmp_path / "out/cines.parquet")
    assert {path.name for path in videos} <= {row["path"] for row in rows}
    assert report.frames == sum(row["frames"] for row in rows)
