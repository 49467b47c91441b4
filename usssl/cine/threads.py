"""How many threads a decoder takes, and the threads that all cines of a process share."""

from __future__ import annotations

import functools
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

_MAX_THREADS = 8


def default_threads() -> int:
    """One thread in a worker process, where others work beside it; elsewhere one a core, at most 8."""
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)


def shared_pool(threads: int) -> ThreadPoolExecutor:
    """The pool of that many threads that this process has; a forked child makes its own.

    Starting threads for each cine would cost as much as decoding several frames: their memory is fresh every time.
    """
    return _pool(threads, os.getpid())


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="usssl-cine")
