"""Progress with an ETA on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

_quiet = False
_SECONDS_BETWEEN_LINES = 10.0


def set_quiet(quiet: bool) -> None:
    """Silences `track` and `say` for this process (the `--quiet` option)."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether `set_quiet` silenced this process, or it has no standard error."""
    return _quiet or sys.stderr is None


def say(message: str) -> None:
    """Prints one line for a person on standard error, unless quiet."""
    if not is_quiet():
        print(message, file=sys.stderr, flush=True)


def track(items: Iterable[T], description: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Yields the items while showing how far the work is and how long it will take.

    Args:
        items: what is worked through.
        description: a short phrase, such as "Indexing".
        total: number of items; taken from `len(items)` where it has one.
        unit: what an item is called, such as "cine".
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if is_quiet():
        yield from items
    elif sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total, unit=unit, dynamic_ncols=True)
    else:
        yield from _plain_lines(items, description, total, unit)


def _plain_lines(items: Iterable[T], description: str, total: int | None, unit: str) -> Iterator[T]:
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            say(f"{description}: {_state(done, total, unit, now - started)}")
    say(f"{description}: {done} {unit}{'' if done == 1 else 's'} in {time.monotonic() - started:.1f} s")


def _state(done: int, total: int | None, unit: str, seconds: float) -> str:
    if not total:
        return f"{done} {unit}s, {seconds:.0f} s so far"
    left = seconds / done * (total - done)
    return f"{done} of {total} {unit}s, {seconds:.0f} s so far, about {left:.0f} s left"
