"""`usssl index`, `usssl prepare` and `usssl deidentify` as a user meets them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from usssl.cine import write_dicom
from usssl.cli import main
from usssl.data import open_store

WriteCine = Callable[..., Path]


def usssl(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


def test_index_then_prepare_in_colour_and_masked(
    tmp_path: Path, write_cine: WriteCine, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        write_cine(tmp_path / "cines" / f"{number}.mkv", seed=number)
    shutil.copy(tmp_path / "cines" / "1.mkv", tmp_path / "cines" / "copy.mkv")
    (tmp_path / "cines" / "broken.mp4").write_bytes(b"not a video")
    (tmp_path / "cines" / "sound.wav").write_bytes(b"RIFF")
    (tmp_path / "cines" / "labels.csv").write_text("file,split\n0.mkv,train\n1.mkv,test\ngone.mkv,test\n")
    catalog, store = tmp_path / "c.parquet", tmp_path / "store"
    code, out, err = usssl(capsys, "index", tmp_path / "cines", "-o", catalog, "--workers", 1)
    assert (code, out) == (1, f"3 cines in {catalog}\n")
    told = "train 1, test 1, withheld 1; 1 duplicate; 1 row of labels without a cine; no cines: 1 .csv, 1 .wav\n"
    assert told in err or told.replace("test 1, withheld 1", "test 2") in err
    assert f"1 file failed; the reasons are in {catalog}.failures.csv" in err
    options = ("--size", 24, 40, "--color", "rgb", "--mask", "--workers", 1)
    code, out, _ = usssl(capsys, "prepare", catalog, "-o", store, *options)
    assert (code, out) == (0, f"3 cines in {store}\n")
    made = open_store(store)
    assert (made.color, made.size) == ("rgb", (24, 40))
    code, _, err = usssl(capsys, "prepare", catalog, "-o", store, "--color", "green")
    assert (code, "green" in err) == (2, True)


def test_masking_changes_what_the_store_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.zeros((8, 120, 160), np.uint8)
    frames[:, 20:110, 30:130] = np.random.default_rng(0).integers(60, 120, (8, 90, 100))
    frames[:, 2:8, 4:60:3] = 250  # a line of strokes above the image
    (tmp_path / "cines").mkdir()
    write_dicom(tmp_path / "cines" / "a.dcm", frames, 20, transfer_syntax="rle")
    usssl(capsys, "index", tmp_path / "cines", "-o", tmp_path / "c.parquet", "--workers", 1)
    read = []
    for name, options in (("plain", ()), ("masked", ("--mask",))):
        arguments = ("prepare", tmp_path / "c.parquet", "-o", tmp_path / name, "--size", 120, 160, "--workers", 1)
        assert usssl(capsys, *arguments, *options)[0] == 0
        read.append(open_store(tmp_path / name).read(0, [0])[0])
    assert (read[1] <= read[0]).all()
    assert open_store(tmp_path / "plain").law != open_store(tmp_path / "masked").law


@pytest.mark.parametrize("command", ["prepare", "deidentify"])
def test_a_mistake_is_one_sentence(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = usssl(capsys, command, tmp_path / "nothing", "-o", tmp_path / "out")
    assert code != 0
    assert len(err.strip().splitlines()) == 1
    assert "nothing" in err
    assert "Traceback" not in err
