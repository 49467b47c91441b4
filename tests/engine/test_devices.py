"""What `auto` means: precision by device and encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from usssl.engine import devices
from usssl.engine.devices import check_device, convolves_in_3d, resolve
from usssl.errors import UsageError
from usssl.recipe import read_recipe


@pytest.mark.parametrize(
    ("encoder", "given", "precision"),
    [
        ("resnet18", "auto", "bf16"),
        ("r3d18", "auto", "fp32"),
        ("r2plus1d18", "auto", "fp32"),
        ("r3d18", "bf16", "bf16"),
        ("r3d18", "fp32", "fp32"),
        ("resnet18", "bf16", "bf16"),
    ],
)
def test_auto_is_not_bf16_for_3d_convolutions_on_a_cpu(
    encoder: str,
    given: str,
    precision: str,
    pretrain_recipe: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(devices, "fast_bf16", lambda device: True)
    content = pretrain_recipe | {"method": {"name": "cvrl"}}
    recipe = read_recipe(content, {"encoder.name": encoder, "trainer.precision": given, "trainer.device": "cpu"})
    assert resolve(recipe, clips_per_epoch=8).trainer.precision == precision
    warned = "warning: trainer.precision is bf16, in which r3d18's 3-D convolutions" in capsys.readouterr().err
    assert warned is ((encoder, given) == ("r3d18", "bf16"))


def test_clip_encoders_convolve_in_3d_and_frame_encoders_do_not() -> None:
    clips = ["r3d18", "r3d50", "r2plus1d18", "s3d", "i3d", "slowonly50"]
    assert [name for name in [*clips, "sononet16", "resnet18"] if convolves_in_3d(name)] == clips


@pytest.mark.parametrize(
    ("device", "gpus", "complaint"),
    [
        ("cuda", 0, "trainer.device is cuda, but torch finds no CUDA device here"),
        ("cuda:1", 0, "trainer.device is cuda:1, but torch finds no CUDA device here"),
        ("cuda:2", 2, "trainer.device is cuda:2, but the GPUs here end with cuda:1"),
        ("cuda:1", 2, None),
        ("cuda", 1, None),
        ("auto", 0, None),
        ("cpu", 0, None),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(
    device: str, gpus: int, complaint: str | None, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    recipe = read_recipe(pretrain_recipe, {"trainer.device": device})
    if complaint is None:
        check_device(recipe.trainer)
        return
    with pytest.raises(UsageError, match=complaint):
        check_device(recipe.trainer)
    with pytest.raises(UsageError, match=complaint):
        resolve(recipe, clips_per_epoch=8)
