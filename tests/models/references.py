"""Other packages' networks, where they can be had, and how their weights are copied into ours."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from tests.foreign import declare_torchvision_operators, is_installed
from usssl.models.encoders import Encoder


def torchvision_models() -> ModuleType:
    """`torchvision.models`; skips the test where torchvision is not installed."""
    if not is_installed("torchvision"):
        pytest.skip("torchvision is not installed (extra: bench)")
    declare_torchvision_operators()
    return importlib.import_module("torchvision.models")


def liven(network: nn.Module) -> nn.Module:
    """Gives normalisations weights and statistics that are not the identity, so that a mistake in them shows."""
    generator = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.5)
    return network.eval()


def copy_weights(source: dict[str, Tensor], encoder: Encoder) -> Encoder:
    """Copies tensors in their order, for names differ; each must have as many numbers as its place."""
    places = encoder.state_dict()
    assert len(source) == len(places), "the networks have other layers"
    copied = {}
    for (name, place), tensor in zip(places.items(), source.values(), strict=True):
        assert place.numel() == tensor.numel(), name
        copied[name] = tensor.reshape(place.shape)
    encoder.load_state_dict(copied)
    return encoder.eval()


def parameters(network: nn.Module) -> int:
    """The number of trained numbers."""
    return sum(p.numel() for p in network.parameters())
