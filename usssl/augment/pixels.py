"""Grey levels as numbers in 0..1, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_unit(clips: Tensor) -> Tensor:
    """A new floating tensor in 0..1: uint8 becomes float32, half precision is worked on in float32, float64 is kept."""
    if clips.dtype == torch.uint8:
        return clips.to(torch.float32).mul_(1 / 255)
    return clips.to(torch.float64 if clips.dtype == torch.float64 else torch.float32, copy=True)


def like(unit: Tensor, clips: Tensor) -> Tensor:
    """Brings numbers in 0..1 to the dtype of `clips`; uint8 is clamped and rounded."""
    if clips.dtype == torch.uint8:
        return unit.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return unit.to(clips.dtype)


def a_row(values: Tensor, unit: Tensor) -> Tensor:
    """Shapes one value a clip, `(batch,)`, so that it broadcasts over `(batch, time, channels, height, width)`."""
    return values.to(unit.device, unit.dtype)[:, None, None, None, None]
