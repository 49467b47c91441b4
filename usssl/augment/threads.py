"""Work on the CPU spread over as many threads as torch may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def spread(work: Callable[[T], object], items: Sequence[T]) -> None:
    """Calls `work` on every item; it must release the interpreter to gain from threads, as OpenCV does."""
    threads = min(len(items), torch.get_num_threads())
    if threads <= 1:
        for item in items:
            work(item)
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            list(pool.map(work, items))
