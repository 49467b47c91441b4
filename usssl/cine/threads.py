"""How many threads a decoder takes."""

from __future__ import annotations

import multiprocessing
import os

_MAX_THREADS = 8


def default_threads() -> int:
    """One thread in a worker process, where others work beside it; elsewhere one a core, at most 8."""
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)
