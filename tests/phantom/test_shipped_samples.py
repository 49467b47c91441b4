"""Every file of samples/ opens, and has its licence beside it."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

import usssl
from tests.conftest import ROOT
from usssl.phantom.tables import split_of

SAMPLES = ROOT / "samples"
FOLDERS = sorted(path for path in SAMPLES.iterdir() if path.is_dir())
CINES = sorted(path for path in SAMPLES.rglob("*") if path.suffix in {".mp4", ".mov", ".dcm", ".png"})
PAPERS = {"LICENSE", "NOTICE", "README.md", "labels.csv", "frames.csv", "gaze.csv"}
REDISTRIBUTABLE = ("CC0 1.0", "CC BY 4.0", "Apache License")


def name_of(path) -> str:
    return str(path.relative_to(SAMPLES))


@pytest.mark.parametrize("path", CINES, ids=name_of)
def test_a_sample_opens_and_shows_something(path):
    with usssl.open_cine(path) as cine:
        first, last = np.asarray(cine[0]), np.asarray(cine[len(cine) - 1])
        assert first.dtype == np.uint8
        assert first.std() > 5
        assert len(cine) == 1 or (first != last).any()
        assert (cine.fps is None) == (path.suffix == ".png")


@pytest.mark.parametrize("path", CINES, ids=name_of)
def test_a_sample_has_a_licence_that_names_it(path):
    folder = SAMPLES / path.relative_to(SAMPLES).parts[0]
    texts = "\n".join(
        file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name in {"LICENSE", "NOTICE"}
    )
    assert any(licence in texts for licence in REDISTRIBUTABLE)
    assert folder.name == "phantom" or (path.name in texts and re.search(r"https://(github|zenodo)", texts))
    assert "BY-NC" not in texts
    assert "BY-ND" not in texts


def test_nothing_else_lies_there_and_all_of_it_is_small():
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    others = [path for path in files if path not in CINES and path.name not in PAPERS]
    assert {path.suffix for path in others} <= {".zip"}
    assert sum(path.stat().st_size for path in files) < 6_000_000


def test_the_table_lists_every_folder():
    table = (SAMPLES / "README.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.M)) == [folder.name for folder in FOLDERS]


def test_labels_of_the_shipped_phantoms_fit_their_cines():
    folder = SAMPLES / "phantom"
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    assert sorted(row["file"] for row in labels) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob("cines/*")
    )
    for row in labels:
        with usssl.open_cine(folder / row["file"]) as cine:
            assert cine.shape[:3] == (int(row["frames"]), int(row["height"]), int(row["width"]))
            assert cine.fps == pytest.approx(float(row["fps"]))
        assert row["split"] == split_of(int(row["patient"][1:]))
