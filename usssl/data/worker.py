"""The worker's side of `usssl.data.workers`: answer each item with a result or a reason, never an exception."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usssl.cine import Limits
from usssl.errors import CineError, OutputError

_GRACE = 2  # seconds in which the process that watches this one may end it itself

Task = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
        item: the item as it was given.
        result: what the function returned, or None if it failed.
        reason: why it failed, one phrase without the path, or None.
        fatal: the failure is not the item's: no other item could succeed either, such as when the disk is full.
    """

    item: dict[str, Any]
    result: dict[str, Any] | None
    reason: str | None
    fatal: bool = False


def load(task: str) -> Task:
    """The function that "package.module:function" names."""
    module, name = task.split(":")
    function: Task = getattr(importlib.import_module(module), name)
    return function


def attempt(function: Task, item: dict[str, Any]) -> Outcome:
    """Calls the function on one item; an exception becomes a reason."""
    try:
        return Outcome(item, function(item), None)
    except CineError as error:
        return Outcome(item, None, error.reason)
    except OutputError as error:
        return Outcome(item, None, str(error), fatal=True)
    except MemoryError:
        return Outcome(item, None, "needs more memory than there is")
    except Exception as error:  # untrusted input: whatever a library raises is a reason to list, not to stop
        return Outcome(item, None, " ".join(f"{type(error).__name__}: {error}".split()))


def _limit_memory(extra: int) -> None:
    """Bounds this process to the memory that it uses and `extra` bytes more, where the system can."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + extra, used + extra))
    except (ImportError, OSError, ValueError):
        return


def serve() -> None:
    """Answers each line of standard input with one line; ends when the input does, or when one takes too long."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not speak on the answers' pipe
    function = load(sys.argv[1])
    _limit_memory(Limits().max_memory)
    answers.write(b"ready\n")
    answers.flush()
    limit = math.ceil(float(sys.argv[2])) + _GRACE
    for line in sys.stdin.buffer:
        if hasattr(signal, "alarm"):
            signal.alarm(limit)  # in case nobody is left to watch this process
        outcome = attempt(function, json.loads(line))
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        answer = {"result": outcome.result, "reason": outcome.reason, "fatal": outcome.fatal}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
