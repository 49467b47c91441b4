"""How many threads a decoder takes, and the threads that all cines of a process share."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_MAX_THREADS = 8
_GROUP = 12  # things a thread does before the results of all are handed out
A = TypeVar("A")
R = TypeVar("R")


def default_threads() -> int:
    """One thread in a worker process, where others work beside it; elsewhere one a core, at most 8."""
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)


def map_in_threads(function: Callable[[A], R], things: Iterable[A], threads: int) -> Iterator[R]:
    """`function` of each thing, in order; the calling thread does its share, so that none waits for another to wake.

    Args:
        function: lets other threads run meanwhile, or nothing is gained.
        things: read in the calling thread, a group at a time.
        threads: that work together, the calling one included.

    Raises:
        Exception: what `function` raised, when its turn comes.
    """
    source = iter(things)
    while group := list(islice(source, _GROUP * threads)):
        done: list[R | BaseException | None] = [None] * len(group)
        left = deque(enumerate(group))

        def work(left: deque[tuple[int, A]] = left, done: list[R | BaseException | None] = done) -> None:
            while True:
                try:
                    place, thing = left.popleft()
                except IndexError:
                    return
                try:
                    done[place] = function(thing)
                except BaseException as error:
                    done[place] = error

        others = [shared_pool(threads).submit(work) for _ in range(min(threads, len(group)) - 1)]
        work()
        for other in others:
            other.result()
        for result in done:
            if isinstance(result, BaseException):
                raise result
            yield result  # type: ignore[misc]


def shared_pool(threads: int) -> ThreadPoolExecutor:
    """The pool of that many threads that this process has; a forked child makes its own.

    Starting threads for each cine would cost as much as decoding several frames: their memory is fresh every time.
    """
    return _pool(threads, os.getpid())


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="usssl-cine")
