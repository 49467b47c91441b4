"""Pretraining as a user meets it: a run folder, resumable to the same weights, with plain refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import usssl
from usssl.engine.run import Run
from usssl.engine.training import Training
from usssl.errors import OutputError, RecipeError, UsageError


def test_a_run_holds_what_the_contract_says(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    run = usssl.pretrain(pretrain_recipe | {"tracking": {"tensorboard": True}}, out=tmp_path / "run")
    files = {path.name for path in run.path.iterdir()}
    assert files >= {
        "recipe.yaml",
        "metrics.jsonl",
        "encoder.safetensors",
        "checkpoints",
        "log.txt",
        "tensorboard",
        "provenance.json",
    }
    assert not list(run.path.rglob("*.partial"))
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if "loss" in line]
    assert set(training[0]) >= {
        "step",
        "epoch",
        "loss",
        "order_loss",
        "transform_loss",
        "lr",
        "clips_per_s",
        "data_wait",
    }
    assert training[-1]["step"] == 12
    assert any("val_order_accuracy" in line for line in lines)
    provenance = run.provenance()
    assert provenance["packages"]["torch"]
    assert provenance["data"]["cines"] == 6
    assert "auto" not in (run.path / "recipe.yaml").read_text()


def test_a_killed_run_resumes_to_the_same_weights(
    tmp_path: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = usssl.pretrain(pretrain_recipe, out=tmp_path / "whole")
    step = Training._step

    def dies(self: Training, engine: Any, batch: Any) -> Any:
        if self.state.step == 7:
            raise KeyboardInterrupt
        return step(self, engine, batch)

    often = pretrain_recipe | {"trainer": pretrain_recipe["trainer"] | {"checkpoint_minutes": 1e-6}}
    monkeypatch.setattr(Training, "_step", dies)
    with pytest.raises(KeyboardInterrupt):
        usssl.pretrain(often, out=tmp_path / "killed")
    monkeypatch.setattr(Training, "_step", step)
    assert not Run.open(tmp_path / "killed").finished
    resumed = usssl.pretrain(often, out=tmp_path / "killed", resume=True)
    expected, found = whole.load_weights("method"), resumed.load_weights("method")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    steps = [line["step"] for line in resumed.metrics() if "loss" in line]
    assert steps == sorted(set(steps))


def test_progress_says_step_loss_and_time_left(
    tmp_path: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("usssl.engine.handlers._SECONDS_BETWEEN_LINES", 0.0)
    often = pretrain_recipe | {"trainer": pretrain_recipe["trainer"] | {"checkpoint_minutes": 1e-6}}
    usssl.pretrain(often, out=tmp_path / "run")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Pretraining")]
    assert len(lines) == 11, "between each two of twelve steps"
    assert re.fullmatch(r"Pretraining: step 11 of 12, loss \d+\.\d{3}, about \d+ s left", lines[-1])


def test_a_finished_or_foreign_folder_is_not_overwritten(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    run = usssl.pretrain(pretrain_recipe, {"trainer.epochs": 1}, out=tmp_path / "run")
    before = (run.path / "encoder.safetensors").read_bytes()
    with pytest.raises(UsageError, match="already holds a run; add --resume"):
        usssl.pretrain(pretrain_recipe, {"trainer.epochs": 1}, out=run.path)
    with pytest.raises(UsageError, match="a run of another recipe"):
        usssl.pretrain(pretrain_recipe, {"optimizer.lr": 0.5}, out=run.path, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and not a run"):
        usssl.pretrain(pretrain_recipe, out=tmp_path / "full")
    assert (run.path / "encoder.safetensors").read_bytes() == before


@pytest.mark.parametrize("train", [usssl.pretrain, usssl.finetune])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, pretrain_recipe: dict[str, Any], planes_recipe: dict[str, Any], train: Any
) -> None:
    (tmp_path / "file").write_text("in the way")
    recipe = pretrain_recipe if train is usssl.pretrain else planes_recipe
    # The source is missing too: that it is not reached shows that the folder was looked at first.
    with pytest.raises(OutputError, match=r"cannot write to .*file/run"):
        train(recipe, {"data.source": "nowhere"}, out=tmp_path / "file" / "run")
    with pytest.raises(UsageError, match="no data source 'nowhere'"):
        train(recipe, {"data.source": "nowhere"}, out=tmp_path / "a" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_fine_tuning_recipe_is_sent_to_its_command(planes_recipe: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="use `usssl finetune`"):
        usssl.pretrain(planes_recipe, out=tmp_path / "run")


def test_cines_too_short_for_a_clip_are_said(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"lower data\.clip\.step"):
        usssl.pretrain(pretrain_recipe, {"data.clip.step": 30}, out=tmp_path / "run")


def test_training_that_diverges_stops_with_a_sentence(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    with pytest.raises(usssl.errors.UssslError, match=r"the loss is .* at step \d+; lower optimizer.lr"):
        usssl.pretrain(pretrain_recipe, {"optimizer.lr": 1e30, "schedule.warmup_epochs": 0}, out=tmp_path / "run")
