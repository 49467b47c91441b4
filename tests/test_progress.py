"""Progress is for a person who can see it, and in nobody's way otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from usssl import progress
from usssl.engine.handlers import Progress

SCRIPT = """
from usssl import progress

progress.say("begun")
print([*progress.track(range(3), "Indexing")], progress.is_quiet())
"""


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_quiet", False)


def test_a_log_gets_plain_lines_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*progress.track(range(3), "Indexing", unit="cine")] == [0, 1, 2]
    assert capsys.readouterr().err.startswith("Indexing: 3 cines in ")
    progress.set_quiet(True)
    assert [*progress.track(range(3), "Indexing", unit="cine")] == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_process_without_standard_error_is_quiet(repository: Path) -> None:
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, timeout=60)
    assert done.stdout == "[0, 1, 2] True\n", "nothing else, on standard output either"
    assert done.returncode == 0


def test_the_bar_of_a_training_is_left_out_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    bar = Progress(SimpleNamespace(state=SimpleNamespace(step=0), steps=4), "Pretraining")  # type: ignore[arg-type]
    bar._start(None)  # type: ignore[arg-type]
    bar._update(None)  # type: ignore[arg-type]
    assert bar.bar is None
