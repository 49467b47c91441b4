"""What `auto` means: precision by device and encoder."""

from __future__ import annotations

from typing import Any

import pytest

from usssl.engine import devices
from usssl.engine.devices import convolves_in_3d, resolve
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
