"""Every method pretrains 200 steps on real lung ultrasound, on a CPU: no NaN, and a loss that falls."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import usssl
from usssl.methods.parts.batch_norm import has_batch_norm
from usssl.models import encoders

STEPS, BATCH = 200, 8
METHODS: dict[str, dict[str, Any]] = {
    "cvrl": {"hidden": 128, "hidden_layers": 2, "dim": 64, "head_momentum": 0.1},
    "vtdl": {"queue": 64, "dim": 64, "momentum": 0.97, "bn_groups": 2},
    "cep": {"queue": 64, "dim": 64, "hidden": 128, "momentum": 0.97, "bn_groups": 2},
    "cate": {"width": 64, "layers": 1, "heads": 2, "dim": 64},
    "order_transform": {"hidden": 64, "dropout": 0.0},
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_on_real_ultrasound(name: str, test_data: Path, tmp_path: Path) -> None:
    source = test_data / "covid_blues" / "lus_videos"
    if not source.is_dir():
        pytest.skip(f"no lung videos at {source}")
    frames = name == "order_transform"
    recipe = {
        "data": {"source": str(source), "clip": {"frames": 4, "step": 3, "size": [48, 48]}},
        "encoder": {"name": "sononet16" if frames else "r3d18", "width": 0.25 if frames else 0.125},
        "method": {"name": name, **METHODS[name]},
        "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
        "trainer": {
            "epochs": 4, "clips_per_epoch": STEPS * BATCH // 4, "batch_size": BATCH, "precision": "fp32",
            "device": "cpu",
        },
        "tracking": {"tensorboard": False},
    }  # fmt: skip
    assert has_batch_norm(encoders.build("r3d18", width=0.125)), "the guards have something to guard"
    run = usssl.pretrain(recipe, out=tmp_path / "run")
    lines = [line for line in run.metrics() if "loss" in line]
    assert lines[-1]["step"] == STEPS
    assert all(math.isfinite(value) for line in lines for value in line.values())
    early, late = lines[1:4], lines[-3:]  # steps 20 to 40, when the queues are full; steps 180 to 200
    print(f"\n{name}: loss {mean(early):.3f} -> {mean(late):.3f}; {lines[-1]}")
    assert mean(late) < mean(early)
    assert lines[-1]["feature_std"] > 0.02


def mean(lines: list[dict[str, float]]) -> float:
    return sum(line["loss"] for line in lines) / len(lines)
