"""Runs a function on processes that talk through gloo, as GPUs would through NCCL."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def on_two_ranks(function: Callable[..., Any], *args: Any) -> list[Any]:
    """What `function(*args)` returns on each of two ranks; it must stand at the top of its module."""
    return on_ranks(2, function, *args)


def on_ranks(count: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """The same on each of `count` ranks."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_work, (function, args, folder, count), nprocs=count)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _work(rank: int, function: Callable[..., Any], args: tuple[Any, ...], folder: str, count: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    torch.save(function(*args), Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
