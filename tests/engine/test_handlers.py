"""Metrics that are not finite: averaged where they are known, left out of the log where they are not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine

import usssl
from tests.cines import shape_frames
from usssl.engine import ranks
from usssl.engine.handlers import KeepBest, means_of
from usssl.engine.training import TrainingState


def test_a_mean_is_of_the_steps_that_have_a_finite_value() -> None:
    outputs = [{"loss": 1.0, "shift_s": math.nan, "none": math.nan}, {"loss": 2.0, "shift_s": 0.5, "none": math.inf}]
    steps = [{name: torch.tensor(value) for name, value in output.items()} for output in outputs]
    found = means_of([*steps, {"loss": torch.tensor(6.0), "shift_s": torch.tensor(1.5)}])
    assert (found["loss"], found["shift_s"]) == (3, 1)
    assert math.isnan(found["none"]), "the name must stay, for another rank may have a value"


def test_a_mean_over_ranks_is_of_the_ranks_that_have_a_finite_value(monkeypatch: pytest.MonkeyPatch) -> None:
    others = torch.tensor([[5.0, 0.5, math.nan], [6.0, 1.5, math.inf]], dtype=torch.float64)
    monkeypatch.setattr(ranks, "ranks", lambda: 3)
    monkeypatch.setattr(ranks, "gather", lambda own: torch.cat([own, others]))
    monkeypatch.setattr(ranks.dist, "get_backend", lambda: "gloo")
    found = ranks.mean_over_ranks({"loss": 1.0, "shift_s": math.nan, "none": math.nan})
    assert (found["loss"], found["shift_s"]) == (4, 1)
    assert math.isnan(found["none"])


def test_an_epoch_whose_measure_is_not_known_gives_way_to_one_whose_measure_is() -> None:
    model, state = torch.nn.Linear(1, 1), TrainingState(torch.nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)]))
    training = SimpleNamespace(model=model, state=state, steps_per_epoch=1)
    logger = SimpleNamespace(log=lambda values: None, _reset=lambda: None)
    measures = iter([math.nan, 0.5, math.nan, 0.4])
    best = KeepBest(training, lambda: {"f1": next(measures)}, "f1", higher_is_better=True, logger=logger)  # type: ignore[arg-type]
    for state.step in range(1, 5):
        best._look(Engine(lambda *_: None))
    assert (state.kept["best"]["f1"], state.kept["best"]["epoch"]) == (0.5, 2)


def test_metrics_are_strict_json_where_times_are_not_known(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    for number in range(10):
        np.save(tmp_path / f"cine{number}.npy", shape_frames(number)[0])
    recipe = pretrain_recipe | {
        "data": {"source": str(tmp_path), "clip": {"frames": 2, "step": 2, "size": [32, 32]}},
        "method": {"name": "cate", "width": 16, "layers": 1, "heads": 2, "dim": 8},
        "trainer": pretrain_recipe["trainer"] | {"epochs": 1, "clips_per_epoch": 8},
    }
    run = usssl.pretrain(recipe, out=tmp_path / "run")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line}
    assert {"loss", "told_gap", "val_loss", "val_told_gap"} <= names
    assert not {"shift_s", "val_shift_s"} & names
