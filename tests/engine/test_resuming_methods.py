"""A killed run of a method with a queue and a momentum encoder goes on to the same weights, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import usssl
from usssl.engine.training import Training, scaled_lr
from usssl.recipe import OptimizerArguments

METHODS = {
    "vtdl": {"queue": 10, "dim": 8, "momentum": 0.9, "momentum_end": 1.0, "bn_groups": 2},
    "cep": {"queue": 10, "dim": 8, "hidden": 16, "momentum": 0.9, "bn_groups": 2},
    "cate": {"queue": 10, "dim": 8, "width": 16, "layers": 1, "heads": 2, "negatives": "queue", "bn_groups": 2},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_resumes_with_its_queue_and_momentum(
    name: str, tmp_path: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = pretrain_recipe | {
        "method": {"name": name, **METHODS[name]},
        "data": pretrain_recipe["data"] | {"clip": {"frames": 2, "step": 2, "size": [48, 48]}},
        "trainer": pretrain_recipe["trainer"] | {"checkpoint_minutes": 1e-6},
    }
    whole = usssl.pretrain(recipe, out=tmp_path / "whole")
    step = Training._step

    def dies(self: Training, engine: Any, batch: Any) -> Any:
        if self.state.step == 7:
            raise KeyboardInterrupt
        return step(self, engine, batch)

    monkeypatch.setattr(Training, "_step", dies)
    with pytest.raises(KeyboardInterrupt):
        usssl.pretrain(recipe, out=tmp_path / "killed")
    monkeypatch.setattr(Training, "_step", step)
    resumed = usssl.pretrain(recipe, out=tmp_path / "killed", resume=True)
    expected, found = whole.load_weights("method"), resumed.load_weights("method")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert expected["queue.pointer"] == 12 * 4 * (2 if name == "cate" else 1) % 10


def test_the_learning_rate_of_the_cep_page() -> None:
    """methods/cep, property 8: 8 GPUs of 2 clips, base 0.01 at a batch of 64."""
    assert scaled_lr(OptimizerArguments(lr=0.01, lr_batch=64), 8 * 2) == pytest.approx(0.0025)
    assert scaled_lr(OptimizerArguments(lr=0.01), 16) == 0.01
