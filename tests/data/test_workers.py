from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from usssl.data.workers import run_isolated
from usssl.errors import UssslError

TASK = "misbehaving:act"
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _tasks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.syspath_prepend(str(HERE))


def outcomes(acts: list[str], workers: int, seconds: float = 30) -> dict[int, tuple[object, str | None]]:
    items = [{"act": act, "number": number} for number, act in enumerate(acts)]
    return {
        outcome.item["number"]: (outcome.result, outcome.reason)
        for outcome in run_isolated(TASK, items, workers=workers, seconds=seconds)
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_or_a_hang_costs_only_its_own_file(workers: int) -> None:
    acts = ["work", "crash", "work", "hang", "work", "exit", "work"]
    got = outcomes(acts, workers, seconds=1.5)
    assert {number for number, (result, _) in got.items() if result} == {0, 2, 4, 6}
    assert got[1][1] == "the decoder crashed (SIGSEGV)"
    assert got[3][1] == "took longer than the limit of 1.5 s"
    assert got[5][1] == "the decoder crashed (exit code 3)"


@pytest.mark.parametrize("workers", [0, 1])
def test_refusals_and_exceptions_become_reasons_of_one_line(workers: int) -> None:
    got = outcomes(["refuse", "raise", "work"], workers)
    assert got[0] == (None, "it is empty")
    assert got[1] == (None, "RuntimeError: two lines")
    assert got[2][0]


def test_a_decoder_that_prints_cannot_speak_for_the_worker() -> None:
    got = outcomes(["print"], 1)
    assert got[0][0]["number"] == 0


def test_the_work_happens_in_other_processes_and_no_more_of_them_than_asked_for() -> None:
    pids = {result["pid"] for result, _ in outcomes(["work"] * 40, 2).values()}
    assert len(pids) <= 2
    assert os.getpid() not in pids


def test_items_are_drawn_as_workers_get_free() -> None:
    drawn = 0

    def items():
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield {"act": "work", "number": number}

    consumed = run_isolated(TASK, items(), workers=1)
    next(consumed)
    time.sleep(0.5)
    assert drawn < 100
    consumed.close()


def test_a_consumer_that_stops_early_leaves_no_process() -> None:
    items = ({"act": "work" if number == 0 else "hang", "number": number} for number in range(9))
    consumed = run_isolated(TASK, items, workers=2, seconds=600)
    first = next(consumed)
    consumed.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first.result["pid"], 0)


def test_a_worker_that_cannot_start_says_why() -> None:
    with pytest.raises(UssslError, match=r"cannot start: .*no_such_module"):
        list(run_isolated("no_such_module:act", [{}], workers=1))


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="there is no alarm clock for processes on this system")
def test_a_worker_that_hangs_ends_even_if_nobody_watches_it() -> None:
    command = [sys.executable, "-c", "from usssl.data.worker import serve; serve()", TASK, "0.5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        worker.stdin.write(b'{"act": "hang", "number": 0}\n')
        worker.stdin.flush()
        assert worker.wait(60) == -signal.SIGALRM


def test_a_script_without_a_main_guard_may_use_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from usssl.data.workers import run_isolated
        print(len(list(run_isolated("misbehaving:act", [{"act": "work", "number": 1}], workers=1))))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is bounded on Linux only")
def test_a_file_that_asks_for_all_memory_is_refused() -> None:
    assert outcomes(["gorge", "work"], 1)[0] == (None, "needs more memory than there is")
