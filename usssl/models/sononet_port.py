"""Weights of the public PyTorch port of SonoNet, rdroste/SonoNet_PyTorch, for our SonoNet-16, -32 and -64.

The port has the same layers under other names, and a classifier (`adaption`) that is left out. It was trained on frames
that were normalised one by one and then multiplied by 255; its first convolution takes that factor up here, so that it
fits our frames of about unit variance.

    encoder = encoders.build("sononet16")
    encoder.load_state_dict(read_port("SonoNet16.pth"))
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from usssl.errors import UsageError

PORT_SCALE = 255.0
"""What the port multiplies its normalised frames by."""

_NAME = re.compile(r"features\.(\d+)\.(\d+)\.(\d+)\.(\w+)")
_LAYERS_OF_ONE = 3  # convolution, normalisation, ReLU


def read_port(path: str | Path) -> dict[str, Tensor]:
    """Reads a `SonoNet16.pth`, `SonoNet32.pth` or `SonoNet64.pth`, without running anything that it may hold.

    Raises:
        UsageError: the file cannot be read or holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch comes upon in a file that is no checkpoint
        reason = "it is damaged or no checkpoint of tensors"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise UsageError(f"cannot read the SonoNet weights {path}: {reason}; give a .pth file of the port") from None
    if not isinstance(state, Mapping):
        raise UsageError(f"{path} holds no state dict; give a .pth file of the port")
    try:
        return from_port(state)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def from_port(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turns a state dict of the port into one of `usssl.models.sononet.SonoNet`.

    Args:
        state: names such as `features.2.0.1.running_mean`: block, place in the block, layer, tensor.

    Raises:
        UsageError: a name is none of the port's, or the first convolution is missing.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("adaption."):
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            raise UsageError(f"{name!r} is no name of the PyTorch port of SonoNet; give a state dict of the port")
        block, place, layer, kind = match.groups()
        found[f"blocks.{block}.{_LAYERS_OF_ONE * int(place) + int(layer)}.{kind}"] = tensor
    first = "blocks.0.0.weight"
    if first not in found:
        raise UsageError("these weights lack the port's features.0.0.0.weight; give a state dict of the port")
    found[first] = found[first] * PORT_SCALE
    return found
