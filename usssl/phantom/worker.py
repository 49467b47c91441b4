"""A process of its own that writes sample cines, in lines of JSON: an order in, None or what went wrong out.

It is a fresh interpreter, not a fork and not `multiprocessing`: it never imports the caller's main module, which in a
script without a `__main__` guard would ask for the same samples again and wait for itself.
"""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import cv2

from usssl.errors import OutputError
from usssl.phantom.records import CineOrder, write_cine

# Ctrl-C reaches every process of the terminal; the parent decides, workers finish the cine at hand.
_SERVE = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from usssl.phantom.worker import serve; serve()"


class WorkerError(Exception):
    """A worker process cannot be started, or ended before it answered."""


def start_worker() -> subprocess.Popen[bytes]:
    """Starts a worker process; it ends when its standard input is closed.

    Raises:
        WorkerError: if it cannot be started.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        return subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
            [sys.executable or "", "-P", "-c", _SERVE],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except OSError as error:
        raise WorkerError from error


def write_elsewhere(worker: subprocess.Popen[bytes], order: CineOrder) -> None:
    """Lets a worker process write a cine, and waits for it.

    Raises:
        OutputError: that the worker reports.
        WorkerError: if it ended before it answered.
    """
    assert worker.stdin is not None
    assert worker.stdout is not None
    line = json.dumps({**asdict(order), "folder": str(order.folder)}, default=operator.index)  # NumPy's integers too
    try:
        worker.stdin.write(line.encode() + b"\n")
        failure = json.loads(worker.stdout.readline())
    except (OSError, ValueError) as error:
        raise WorkerError from error
    if failure is not None:
        raise OutputError(failure)


def serve() -> None:
    """Answers each line of standard input with one line; ends when the input does, or by any error but an output's."""
    cv2.setNumThreads(1)
    answers = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not speak on the answers' pipe
    for line in sys.stdin.buffer:
        order = json.loads(line)
        order |= {"folder": Path(order["folder"]), "suffixes": tuple(order["suffixes"]), "size": tuple(order["size"])}
        failure = None
        try:
            write_cine(CineOrder(**order))
        except OutputError as error:
            failure = str(error)
        with suppress(BrokenPipeError):  # the parent has gone, and so has the input
            os.write(answers, json.dumps(failure).encode() + b"\n")
