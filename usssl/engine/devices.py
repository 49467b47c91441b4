"""`auto` values of a recipe, resolved against the machine before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from usssl.errors import UsageError
from usssl.models import encoders
from usssl.recipe import Recipe

R = TypeVar("R", bound=Recipe)


def resolve(recipe: R, *, clips_per_epoch: int) -> R:
    """The recipe without `auto`.

    Args:
        recipe: as read.
        clips_per_epoch: the value of `trainer.clips_per_epoch` where it is `auto`.

    Raises:
        UsageError: the recipe asks for a device that is not there.
    """
    trainer = recipe.trainer
    device = trainer.device if trainer.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("trainer.device is cuda, but torch finds no CUDA device here; use trainer.device=auto")
    resolved = {
        "device": device,
        "precision": trainer.precision if trainer.precision != "auto" else _precision(device, recipe.encoder.name),
        "workers": trainer.workers if trainer.workers != "auto" else (2 if device.startswith("cuda") else 0),
        "clips_per_epoch": (
            trainer.clips_per_epoch if trainer.clips_per_epoch != "auto" else max(trainer.batch_size, clips_per_epoch)
        ),
    }
    return recipe.model_copy(update={"trainer": trainer.model_copy(update=resolved)})


def _precision(device: str, encoder: str) -> str:
    # On a CPU, 3-D convolutions in bf16 read memory that nobody wrote (seen with PyTorch 2.13): the same step gives
    # another loss each time, and now and then NaN.
    unsound = device == "cpu" and convolves_in_3d(encoder)
    return "bf16" if fast_bf16(device) and not unsound else "fp32"


def convolves_in_3d(encoder: str) -> bool:
    """Whether the encoder of that name convolves over time and space at once; no weights are drawn to see it."""
    with torch.device("meta"):
        return any(isinstance(module, torch.nn.Conv3d) for module in encoders.build(encoder).modules())


def fast_bf16(device: str) -> bool:
    """Whether bf16 is faster than fp32 on a device: CUDA from Ampere on, CPUs with AMX tiles or AVX-512 BF16."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
