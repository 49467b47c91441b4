"""Other packages that tests compare with, where they are installed."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import torch


@cache
def declare_torchvision_operators() -> Any:
    """Declares, once in a process, two operators without which torchvision's wheel does not import on a CPU torch.

    The operators live as long as what is returned.
    """
    library = torch.library.Library("torchvision", "DEF")
    if not torch.version.cuda:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None
