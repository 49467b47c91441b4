"""De-identification holds back what may still hold text, unless it is asked for."""

from __future__ import annotations

import base64
import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cine.identified import HIDDEN, write_dicom_file
from tests.cine.screens import NAME, letters_in, moving_fan, write
from usssl.cine import open_cine, write_dicom
from usssl.cine.deidentify import deidentify_folder
from usssl.cli import main
from usssl.errors import OutputError


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key" / "pseudonym.key"


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder of a moving cine with text, stills with and without it, and the pixels of the text in each."""
    source = tmp_path / "source"
    source.mkdir()
    texts = {"moving": write_dicom_file(source / "moving.dcm", "3"), "still": np.zeros((360, 480), bool)}
    write_dicom(source / "still.dcm", moving_fan(1, seed=4)[0], 25, tags={"PatientName": NAME, "PatientID": "4711"})
    for name in ("named.dcm", "named.png"):
        frames = moving_fan(1, seed=5)[0]
        texts[name[-3:]] = write(frames, NAME, (150, 210), 255)
        if name.endswith("png"):
            cv2.imwrite(str(source / name), frames[0])
        else:
            write_dicom(source / name, frames, 25, tags={"PatientName": NAME, "PatientID": "4711"})
    return source, texts


def thumbnails(out: Path) -> list[np.ndarray]:
    """Every picture in the sheets and records of an output, and in any other text file there."""
    coded = []
    for path in out.rglob("*"):
        if path.is_file() and path.suffix not in (".dcm", ".mp4", ".png"):
            coded += re.findall(r"/9j/[A-Za-z0-9+/]+=*", path.read_text(encoding="utf-8"))
    return [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), cv2.IMREAD_GRAYSCALE) for one in coded]


def test_by_default_no_text_pixel_and_no_identifier_is_written_anywhere(
    mixed: tuple[Path, dict[str, np.ndarray]], key: Path, tmp_path: Path
) -> None:
    source, texts = mixed
    out = tmp_path / "out"
    report = deidentify_folder(source, out, key=key, workers=1, guarded=False)
    assert (report.written, report.held_back, report.failed, report.unsearched) == (1, 3, 0, 0)
    assert report.exit_code == 1
    suffixes = [path.suffix for path in sorted(out.rglob("*")) if path.is_file()]
    assert sorted(suffixes) == [".csv", ".dcm", ".html", ".json", ".json"]
    (path,) = out.rglob("*.dcm")
    with open_cine(path) as cine:
        pixels = np.asarray(cine)
    assert len(pixels) == 8
    assert pixels[:, texts["moving"]].max() == 0
    shown = thumbnails(out)
    assert len(shown) == 4  # before and after of the moving cine, in the sheet and in the record
    assert max(letters_in(one, texts["moving"]) for one in shown) < 0.35
    assert not (out / "look.csv").exists()
    for path in out.rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        for secret in (*HIDDEN, "named", "moving.dcm"):
            assert secret.encode() not in content + str(path.relative_to(out)).lower().encode()


def test_what_is_held_back_is_told_by_its_reason_and_how_to_get_it(
    mixed: tuple[Path, dict[str, np.ndarray]], key: Path, tmp_path: Path
) -> None:
    source, _ = mixed
    out = tmp_path / "out"
    settings = {"key": key, "workers": 1, "guarded": False}
    first = deidentify_folder(source, out, **settings)
    marks = (
        "nothing moves in it, and marks that may be text lie over the image; "
        "--keep-doubtful writes it and shows it in the review sheet"
    )
    faint = (
        "nothing moves in it, and though no text was found over the image, faint text can be missed; "
        "--trust-search writes it"
    )
    reasons = {failure.path.name: failure.reason for failure in first.failures}
    assert reasons == {"named.dcm": marks, "named.png": marks, "still.dcm": faint}
    with (out / "failures.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["outcome"] for row in rows] == ["held back"] * 3
    assert [row["reason"] for row in rows] == [failure.reason for failure in first.failures]
    # The same folder takes what was held back once it is asked for, and does not go back.
    trusted = deidentify_folder(source, out, **settings, trust_search=True)
    assert (trusted.written, trusted.already, trusted.held_back, trusted.unsearched) == (1, 1, 2, 0)
    every = deidentify_folder(source, out, **settings, trust_search=True, keep_doubtful=True)
    assert (every.written, every.already, every.held_back, every.unsearched) == (2, 2, 0, 2)
    assert every.exit_code == 0
    assert "look for text over the image" in every.review.read_text(encoding="utf-8")
    with pytest.raises(OutputError, match="text may remain"):
        deidentify_folder(source, out, **settings, trust_search=True)
    with pytest.raises(OutputError, match="no text was found"):
        deidentify_folder(source, out, **settings, keep_doubtful=True)


def test_the_command_names_what_it_holds_back(
    mixed: tuple[Path, dict[str, np.ndarray]], key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = mixed
    (source / "broken.dcm").write_text("a text named .dcm")
    command = ["deidentify", str(source), "-o", str(tmp_path / "out"), "--key", str(key), "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert shown.out == f"1 file in {tmp_path / 'out'}\n"
    assert "1 written, 3 held back, since text over the image may remain, 1 failed\n" in shown.err
    assert f"{source / 'named.png'}: held back: nothing moves in it" in shown.err
    assert f"{source / 'broken.dcm'}: failed: " in shown.err
    with pytest.raises(SystemExit) as ended:
        main([*command, "--keep-doubtful"])
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert shown.out == f"4 files in {tmp_path / 'out'}\n"
    assert "3 written, 1 there already, 1 failed, 3 want a look" in shown.err
