"""Momentum copies: networks that follow trained ones slowly and give the keys (He et al., CVPR 2020, MoCo)."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import torch
from torch import Tensor, nn


class Momentum(nn.ModuleDict):
    """Copies of modules, by name, whose weights follow the originals'; no gradient reaches them.

    Args:
        online: the modules that are trained.
    """

    def __init__(self, **online: nn.Module) -> None:
        super().__init__({name: copy.deepcopy(module).requires_grad_(False) for name, module in online.items()})

    @torch.no_grad()
    def follow(self, momentum: float, **online: nn.Module) -> None:
        """`theta_k = m theta_k + (1 - m) theta_q` for all weights at once; buffers (BN statistics) are copied.

        Args:
            momentum: m, 0 to 1.
            online: the same modules as at the start.
        """
        targets: list[Tensor] = []
        sources: list[Tensor] = []
        buffers: list[tuple[Tensor, Tensor]] = []
        for name, module in online.items():
            targets += self[name].parameters()
            sources += module.parameters()
            buffers += zip(self[name].buffers(), module.buffers(), strict=True)
        torch._foreach_lerp_(targets, sources, 1 - momentum)
        for target, source in buffers:
            target.copy_(source)

    @torch.no_grad()
    def forward(self, name: str, *inputs: Any) -> Tensor:
        """Applies one of the copies, without gradient."""
        return cast(Tensor, self[name](*inputs))


def momentum_at(progress: float, start: float, end: float | None = None) -> float:
    """The momentum after a share of the training: `start`, or a cosine from `start` to `end` (BYOL, Grill et al. 2020).

    Args:
        progress: 0 to 1.
        start: at the beginning.
        end: at the end; constant where None.
    """
    if end is None:
        return start
    return end - (end - start) * (1 + math.cos(math.pi * progress)) / 2
