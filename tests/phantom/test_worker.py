"""Processes that write sample cines: what they import, how they end, and what becomes of their failures."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from usssl.errors import OutputError
from usssl.phantom import generate_samples, worker
from usssl.phantom.records import CineOrder, is_complete

SMALL = {"size": (60, 80), "frames": 8}


def order(folder: Path, patient: int) -> CineOrder:
    return CineOrder(folder, "fetal", 0, patient, (".mp4",), **SMALL)


def listed(folder: Path) -> list[str]:
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        return [row["patient"] for row in csv.DictReader(file)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of samples, still empty."""
    for name in ("cines", "saliency"):
        (tmp_path / "samples" / name).mkdir(parents=True)
    return tmp_path / "samples"


def test_a_script_without_a_main_guard_may_generate_samples_under_a_lock(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from pathlib import Path
        from usssl.data.cache import lock_for, locked
        from usssl.phantom import generate_samples

        folder = Path(__file__).with_name("samples")
        with locked(lock_for(folder)):
            generate_samples(folder, cines=3, workers=2, size=(60, 80), frames=8)
        print("ran")
        """)
    )
    environment = {**os.environ, "USSSL_CACHE": str(tmp_path / "cache")}
    # A session of its own: where the script waits for itself, its workers are ended with it.
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True
    ) as process:
        try:
            assert process.communicate(timeout=60)[0] == "ran\n"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert listed(tmp_path / "samples") == ["p0001", "p0002", "p0003"]


def test_what_a_worker_cannot_write_is_told_in_its_sentence_and_the_others_are_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "saliency" / "p0001_01.zip").mkdir()
    with pytest.raises(OutputError, match=r"^cannot write .*p0001_01\.zip: "):
        generate_samples(folder, cines=2, workers=2, **SMALL)
    assert "going on" not in capsys.readouterr().err
    assert listed(folder) == ["p0002"]


def test_a_worker_writes_on_after_a_failure_and_ends_with_its_input(folder: Path, tmp_path: Path) -> None:
    with worker.start_worker() as process:
        with pytest.raises(OutputError, match="missing"):
            worker.write_elsewhere(process, order(tmp_path / "missing", 1))
        worker.write_elsewhere(process, order(folder, 2))
    assert is_complete(order(folder, 2))
    assert process.returncode == 0


def test_a_worker_whose_parent_has_gone_finishes_its_cine_and_ends(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"folder": str(folder), "kind": "fetal", "seed": 0, "patient": 1, "suffixes": [".mp4"], **SMALL}
    process = worker.start_worker()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0
    assert is_complete(order(folder, 1))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("executable", ["", "no/such/python"])
def test_where_no_worker_can_be_started_this_process_goes_on(
    folder: Path, executable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    generate_samples(folder, cines=2, workers=2, **SMALL)
    assert "worker processes cannot be started or died; going on in this process" in capsys.readouterr().err
    assert listed(folder) == ["p0001", "p0002"]


@pytest.mark.parametrize("end", ["", "sys.stdin.readline(); os._exit(3)", "print('no answer', flush=True)"])
def test_where_a_worker_dies_this_process_goes_on(
    folder: Path, end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker, "_SERVE", f"import os, sys; {end}")
    generate_samples(folder, cines=3, workers=2, **SMALL)
    assert "worker processes cannot be started or died; going on in this process" in capsys.readouterr().err
    assert listed(folder) == ["p0001", "p0002", "p0003"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="a terminal's Ctrl-C is sent to a process group")
def test_ctrl_c_keeps_the_cines_at_hand_and_lists_them(folder: Path) -> None:
    # A shell that runs the tests in the background lets all that it starts ignore Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"from usssl.phantom import generate_samples; generate_samples({str(folder)!r}, cines=400, workers=2, "
    with subprocess.Popen(
        [sys.executable, "-c", code + "size=(60, 80), frames=8)"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + 60
        while len(list((folder / "saliency").glob("p*.zip"))) < 4 and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1  # this process's, of KeyboardInterrupt; none of a worker
    written = sorted(file.stem for file in (folder / "cines").iterdir())
    assert [f"{patient}_01" for patient in listed(folder)] == written
    assert 4 <= len(written) < 400
