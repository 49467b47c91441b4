"""Run a function over untrusted files in worker processes that may die without taking the run along.

A worker is a fresh interpreter, not a fork and not `multiprocessing`: it never imports the caller's main module (a
script without a `__main__` guard, a notebook and napari all work), and it talks in lines of JSON, so nothing that a
damaged file makes a decoder do can reach this process as code. One worker holds one file at a time; a file that crashes
the decoder or takes longer than its limit costs that file alone.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import IO, Any

from usssl.data.worker import Outcome, attempt, load
from usssl.errors import OutputError, UssslError

_SERVE = "from usssl.data.worker import serve; serve()"
_FILES_PER_PROCESS = 2000  # a fresh process now and then bounds whatever a codec library leaks


def worker_count(workers: int | None) -> int:
    """The number of worker processes: as asked, or one for each core that this process may use."""
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return workers


def run_isolated(
    task: str, items: Iterable[dict[str, Any]], *, workers: int | None = None, seconds: float = 120.0
) -> Generator[Outcome, None, None]:
    """Yields what `task` makes of each item, as they finish.

    Args:
        task: the function as "package.module:function"; it takes and returns a JSON-able dict and raises to refuse.
        items: the items, drawn only as workers get free.
        workers: worker processes (None: one a core); 0 runs in this process, unprotected, for debugging.
        seconds: time limit for one item.

    Raises:
        UssslError: a worker cannot start at all.
        OutputError: an item failed by no fault of its own, such as for want of room on the disk.
    """
    count = worker_count(workers)
    if count == 0:
        function = load(task)
        outcomes: Generator[Outcome, None, None] = (attempt(function, item) for item in items)
    else:
        outcomes = _Crew(task, iter(items), count, seconds).outcomes()
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.fatal:
                raise OutputError(outcome.reason)
            yield outcome


class _Crew:
    """Threads of this process, each minding one worker process."""

    def __init__(self, task: str, items: Iterator[dict[str, Any]], count: int, seconds: float) -> None:
        self._task, self._items, self._seconds = task, items, seconds
        self._draw = threading.Lock()
        # Bounded, so that a slow consumer holds the workers back instead of filling memory.
        self._done: queue.Queue[Outcome | BaseException | None] = queue.Queue(maxsize=4 * count + 16)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._mind, daemon=True) for _ in range(count)]

    def outcomes(self) -> Generator[Outcome, None, None]:
        for thread in self._threads:
            thread.start()
        left = len(self._threads)
        try:
            while left:
                outcome = self._done.get()
                if outcome is None:
                    left -= 1
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    yield outcome
        finally:
            self._stop.set()
            while any(thread.is_alive() for thread in self._threads):
                try:
                    self._done.get(timeout=0.05)
                except queue.Empty:
                    continue

    def _next(self) -> dict[str, Any] | None:
        with self._draw:
            return None if self._stop.is_set() else next(self._items, None)

    def _mind(self) -> None:
        process: _Process | None = None
        try:
            while (item := self._next()) is not None:
                if process is None or process.handled >= _FILES_PER_PROCESS:
                    if process is not None:
                        process.close()
                    process = _Process(self._task, self._seconds)
                outcome = process.ask(item, self._seconds, self._stop)
                if process.dead:
                    process.close()
                    process = None
                self._done.put(outcome)
        except BaseException as error:  # carried to the thread that consumes the outcomes
            self._done.put(error)
        finally:
            if process is not None:
                process.close()
            self._done.put(None)


class _Process:
    """One worker process and its two pipes."""

    def __init__(self, task: str, seconds: float) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by close(); a pipe would block
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
        self._popen = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
            [sys.executable, "-c", _SERVE, task, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        self.handled = 0
        self.dead = False
        if self._readline() != b"ready\n":
            self._popen.wait()
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise UssslError(f"a worker process cannot start: {last[0]}; check the installation with `usssl doctor`")

    def ask(self, item: dict[str, Any], seconds: float, stop: threading.Event) -> Outcome:
        assert self._popen.stdin is not None
        late = threading.Event()
        watchdog = threading.Thread(
            target=self._watch, args=(seconds, stop, late, done := threading.Event()), daemon=True
        )
        watchdog.start()
        try:
            self._popen.stdin.write(json.dumps(item).encode() + b"\n")
            self._popen.stdin.flush()
            line = self._readline()
        except BrokenPipeError:
            line = b""
        finally:
            done.set()
            watchdog.join()
        self.handled += 1
        self.dead = late.is_set() or not line.endswith(b"\n")
        if line.endswith(b"\n"):
            answer = json.loads(line)
            return Outcome(item, answer["result"], answer["reason"], answer["fatal"])
        if late.is_set():
            return Outcome(item, None, f"took longer than the limit of {seconds:g} s")
        return Outcome(item, None, f"the decoder crashed ({_ending(self._popen.wait())})")

    def _watch(self, seconds: float, stop: threading.Event, late: threading.Event, done: threading.Event) -> None:
        waited = 0.0
        while not done.wait(0.25):
            waited += 0.25
            if waited >= seconds:
                late.set()
            if late.is_set() or stop.is_set():
                self._popen.kill()
                return

    def _readline(self) -> bytes:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline()

    def close(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._errors):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def _ending(code: int) -> str:
    if code < 0:
        import signal

        return signal.Signals(-code).name
    return f"exit code {code}"
