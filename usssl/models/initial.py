"""How the weights of our networks begin."""

from __future__ import annotations

import torch
from torch import nn


def initialise(network: nn.Module) -> None:
    """Convolutions as He et al. 2015 (fan out), normalisations as the identity, in place; channels last in memory."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    channels_last(network)


def channels_last(network: nn.Module) -> None:
    """Keeps the weights of 2-D convolutions with channels last, as CPUs and GPUs like them, in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
