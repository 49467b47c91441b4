"""The folder of samples: files, labels, splits, resumption and refusals."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

import usssl
from usssl.errors import OutputError, UsageError
from usssl.phantom import PLANES, generate_samples, simulate_cine
from usssl.phantom.tables import split_of

SMALL = {"size": (60, 80), "frames": 8}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Path:
    return generate_samples(tmp_path_factory.mktemp("samples"), cines=4, video_format="both", workers=1, **SMALL)


def test_folder_holds_what_it_promises(collection):
    stems = [f"p{number:04d}_01" for number in range(1, 5)]
    assert sorted(file.name for file in (collection / "cines").iterdir()) == sorted(
        stem + suffix for stem in stems for suffix in (".mp4", ".dcm")
    )
    assert "CC0" in (collection / "README.md").read_text()
    labels = rows(collection / "labels.csv")
    assert list(labels[0]) == ["file", "patient", "split", "kind", "fps", "frames", "height", "width", "spacing_mm"]
    assert all((collection / row["file"]).is_file() for row in labels)
    assert {row["patient"] for row in labels} == {"p0001", "p0002", "p0003", "p0004"}
    for stem in stems:
        with np.load(collection / "saliency" / f"{stem}.zip") as stored:
            assert stored["maps"].shape == (8, 15, 20)
            assert len(stored["gaze"]) == len(stored["gaze_frame"]) == 24


def test_tables_are_those_of_the_simulation(collection):
    cine = simulate_cine(0, 2, size=(60, 80), frames=8)
    frames = [row for row in rows(collection / "frames.csv") if row["file"] == "cines/p0002_01.mp4"]
    assert [row["plane"] for row in frames] == list(cine.planes)
    assert [int(row["frame"]) for row in frames] == list(range(8))
    assert float(frames[5]["time_s"]) == pytest.approx(5 / cine.fps, abs=1e-4)
    gaze = [row for row in rows(collection / "gaze.csv") if row["file"] == "cines/p0002_01.dcm"]
    assert np.array([[row["x"], row["y"]] for row in gaze], float) == pytest.approx(cine.gaze.position, abs=1e-4)
    assert {row["plane"] for row in rows(collection / "frames.csv")} <= {*PLANES, "background"}


@pytest.mark.parametrize("suffix", [".mp4", ".dcm"])
def test_cines_open_with_the_simulated_pixels(collection, suffix):
    cine = simulate_cine(0, 1, size=(60, 80), frames=8)
    with usssl.open_cine(collection / "cines" / f"p0001_01{suffix}") as opened:
        pixels = np.asarray(opened[:]).astype(float)
        assert opened.fps == pytest.approx(cine.fps)
        if suffix == ".dcm":
            assert opened.spacing_mm == pytest.approx(cine.spacing_mm, rel=1e-4)
            assert [region.kind for region in opened.regions] == ["b_mode"]
    pixels = pixels if pixels.ndim == 3 else pixels.mean(axis=3)
    assert pixels.shape == cine.frames.shape
    # Lossy coding: 30 dB of peak signal to noise.
    assert np.sqrt(((pixels - cine.frames) ** 2).mean()) < 255 / 10**1.5


def test_videos_are_coded_alike_on_any_machine(collection):
    video = (collection / "cines" / "p0001_01.mp4").read_bytes()
    assert b" threads=1 " in video
    assert b" mbtree=0 " in video


def test_dicom_headers_carry_the_fake_patient(collection):
    header = pydicom.dcmread(collection / "cines" / "p0003_01.dcm")
    cine = simulate_cine(0, 3, size=(60, 80), frames=2)
    assert str(header.PatientName) == cine.patient.identity.name
    assert header.PatientID == cine.patient.identity.number
    assert header.SOPClassUID == pydicom.uid.UltrasoundMultiFrameImageStorage
    assert float(header.FrameTime) == pytest.approx(1000 / cine.fps)
    assert header.BurnedInAnnotation == "YES"
    [region] = header.SequenceOfUltrasoundRegions
    assert region.RegionDataType == 1
    assert float(region.PhysicalDeltaX) * 10 == pytest.approx(cine.spacing_mm[1], rel=1e-4)
    columns = np.flatnonzero(cine.sector.mask.any(axis=0))
    assert (region.RegionLocationMinX0, region.RegionLocationMaxX1) == (columns[0], columns[-1])


def test_workers_change_nothing(collection, tmp_path):
    folder = tmp_path / "Größe 1"
    generate_samples(folder, cines=2, seed=np.int64(0), video_format="dicom", workers=2, **SMALL)
    for name in ("p0001_01.dcm", "p0002_01.dcm"):
        assert (folder / "cines" / name).read_bytes() == (collection / "cines" / name).read_bytes()


def test_what_is_complete_is_kept_and_what_is_missing_is_made(tmp_path):
    generate_samples(tmp_path, cines=2, workers=1, **SMALL)
    kept, lost = tmp_path / "cines" / "p0001_01.mp4", tmp_path / "cines" / "p0002_01.mp4"
    before, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    tables = (tmp_path / "gaze.csv").read_bytes()
    lost.unlink()
    generate_samples(tmp_path, cines=2, workers=1, **SMALL)
    assert kept.stat().st_mtime_ns == stamp
    assert lost.read_bytes() == before
    assert (tmp_path / "gaze.csv").read_bytes() == tables
    # A damaged record is made anew, and more cines leave the old ones alone.
    (tmp_path / "saliency" / "p0002_01.zip").write_bytes(b"PK\x03\x04 not a record")
    generate_samples(tmp_path, cines=3, workers=1, **SMALL)
    assert kept.stat().st_mtime_ns == stamp
    assert [row["patient"] for row in rows(tmp_path / "labels.csv")] == ["p0001", "p0002", "p0003"]
    assert not list(tmp_path.rglob("*.part"))


def test_an_interrupted_run_leaves_whole_cines_and_their_labels(tmp_path, monkeypatch):
    from usssl.phantom import samples

    written = itertools.count()

    def interrupted(order, write=samples.write_cine):
        if next(written) == 2:
            raise KeyboardInterrupt
        write(order)

    monkeypatch.setattr(samples, "write_cine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate_samples(tmp_path, cines=4, workers=1, **SMALL)
    assert [row["patient"] for row in rows(tmp_path / "labels.csv")] == ["p0001", "p0002"]
    assert len(list((tmp_path / "cines").iterdir())) == 2


def test_patients_never_cross_splits():
    shares = Counter(split_of(number) for number in range(1, 1001))
    assert shares["train"] == pytest.approx(600, abs=5)
    assert shares["val"] == pytest.approx(150, abs=5)
    assert shares["test"] == pytest.approx(250, abs=5)
    assert {split_of(number) for number in range(1, 5)} == {"train", "val", "test"}


def test_splits_go_by_patient(collection):
    owners = {}
    for row in rows(collection / "labels.csv"):
        assert owners.setdefault(row["patient"], row["split"]) == row["split"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "fetl"}, "the kinds are: fetal"),
        ({"video_format": "avi"}, "mp4, dicom, both"),
        ({"cines": 0}, "1 or more"),
        ({"frames": 1}, "2 or more"),
        ({"workers": 0}, "1 or more"),
        ({"size": (10, 10)}, "60 × 80"),
    ],
)
def test_impossible_wishes_are_refused_in_a_sentence(tmp_path, wrong, words):
    with pytest.raises(UsageError, match=words):
        generate_samples(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_collections_are_not_mixed(collection):
    with pytest.raises(UsageError, match="another folder"):
        generate_samples(collection, cines=1, seed=5, **SMALL)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        generate_samples(tmp_path / "file" / "samples", cines=1)
