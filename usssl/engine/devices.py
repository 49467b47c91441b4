"""`auto` values of a recipe, resolved against the machine before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from usssl import progress
from usssl.errors import UsageError
from usssl.models import encoders
from usssl.recipe import Recipe, TrainerArguments

R = TypeVar("R", bound=Recipe)


def resolve(recipe: R, *, clips_per_epoch: int) -> R:
    """The recipe without `auto`; says so where a precision that was asked for is unsound here.

    Args:
        recipe: as read.
        clips_per_epoch: the value of `trainer.clips_per_epoch` where it is `auto`.

    Raises:
        UsageError: the recipe asks for a device that is not there.
    """
    trainer = recipe.trainer
    check_device(trainer)
    device = trainer.device if trainer.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if trainer.precision == "bf16" and _unsound_in_bf16(device, recipe.encoder.name):
        progress.say(
            f"warning: trainer.precision is bf16, in which {recipe.encoder.name}'s 3-D convolutions give wrong numbers "
            "on a CPU now and then; use fp32 or auto"
        )
    resolved = {
        "device": device,
        "precision": trainer.precision if trainer.precision != "auto" else _precision(device, recipe.encoder.name),
        "workers": trainer.workers if trainer.workers != "auto" else (2 if device.startswith("cuda") else 0),
        "clips_per_epoch": (
            trainer.clips_per_epoch if trainer.clips_per_epoch != "auto" else max(trainer.batch_size, clips_per_epoch)
        ),
    }
    return recipe.model_copy(update={"trainer": trainer.model_copy(update=resolved)})


def check_device(trainer: TrainerArguments) -> None:
    """Refuses a GPU that is not there, which can be told before any work.

    Raises:
        UsageError: with the key of the recipe.
    """
    kind, _, number = trainer.device.partition(":")
    if kind != "cuda":
        return
    if not torch.cuda.is_available():
        raise UsageError(
            f"trainer.device is {trainer.device}, but torch finds no CUDA device here; use trainer.device=auto"
        )
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(
            f"trainer.device is {trainer.device}, but the GPUs here end with cuda:{torch.cuda.device_count() - 1}; "
            "name one of them, or use trainer.device=auto"
        )


def _precision(device: str, encoder: str) -> str:
    return "bf16" if fast_bf16(device) and not _unsound_in_bf16(device, encoder) else "fp32"


def _unsound_in_bf16(device: str, encoder: str) -> bool:
    # On a CPU, 3-D convolutions in bf16 read memory that nobody wrote (seen with PyTorch 2.13): the same step gives
    # another loss each time, and now and then NaN.
    return device == "cpu" and convolves_in_3d(encoder)


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
