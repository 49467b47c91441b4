"""Full precision inside a loss, whatever autocast says around it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def in_full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Runs a function of tensors with autocast off and half-precision tensors as float32; float64 stays float64."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)).device.type
        with torch.autocast(device, enabled=False):
            return function(*map(widened, args), **{name: widened(value) for name, value in kwargs.items()})

    return wrapped


def widened(value: Any) -> Any:
    """A half-precision tensor as float32; anything else as it is."""
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
