"""Pretraining as a user meets it: a run folder, resumable to the same weights, with plain refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import usssl
from tests.cines import make_cine_folder
from usssl.engine.reproduce.toys import write_store
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


@pytest.mark.parametrize("size", [0, 1000])
def test_a_checkpoint_cut_short_is_refused_in_one_sentence(
    tmp_path: Path, pretrain_recipe: dict[str, Any], size: int
) -> None:
    run = usssl.pretrain(pretrain_recipe, {"trainer.epochs": 1}, out=tmp_path / "run")
    (run.path / "encoder.safetensors").unlink()
    checkpoint = run.path / "checkpoints" / "last.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:size])
    with pytest.raises(UsageError) as refused:
        usssl.pretrain(pretrain_recipe, {"trainer.epochs": 1}, out=run.path, resume=True)
    said = (
        f"cannot read the checkpoint {checkpoint}: it is damaged; put back a copy of it, or start anew with another -o"
    )
    assert str(refused.value) == said


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
    assert not (tmp_path / "run").exists(), "nothing is in the way of the mended recipe"


# -- data that lack something ----------------------------------------------------------------------------------------

ONE_STEP = {"trainer.epochs": 1, "trainer.clips_per_epoch": 4, "data.mask": False}


def noise(folder: Path, *cines: tuple[str, int]) -> dict[str, Any]:
    """Overrides of a recipe for one step on cines of noise, each of a split and so many frames; 20 frames a second."""
    rng = np.random.default_rng(0)
    frames = {f"c{n}": rng.integers(60, 200, (count, 72, 96), dtype=np.uint8) for n, (_, count) in enumerate(cines)}
    labels = [{"file": name, "split": split} for name, (split, _) in zip(frames, cines, strict=True)]
    store = write_store(folder / "data", frames, labels, size=(72, 96), fps=20.0)
    return ONE_STEP | {"data.source": str(store.path)}


def told(run: Run, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the log that say what the data lack, without their dates; the console said the same, once."""
    lines = [line.partition(" ")[2] for line in (run.path / "log.txt").read_text().splitlines()]
    logged, said = (
        [line for line in found if "training cines" in line or "validation" in line]
        for found in (lines, capsys.readouterr().err.splitlines())
    )
    assert logged == said
    return logged


def test_without_usable_validation_cines_a_run_trains(
    tmp_path: Path, pretrain_recipe: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    data = noise(tmp_path, *[("train", 20)] * 4, ("train", 6), ("val", 6))
    run = usssl.pretrain(pretrain_recipe, data, out=tmp_path / "run")
    assert told(run, capsys) == [
        "1 of 5 training cines offer no clip and are left out",
        "no validation: the only cine offers no clip of 4 frames that moves and whose times are known; lower "
        "data.clip.step or data.clip.frames",
    ]
    assert [line["step"] for line in run.metrics()] == [1]
    data = noise(tmp_path, *[("train", 20)] * 4)
    run = usssl.pretrain(pretrain_recipe, data, out=tmp_path / "other")
    assert told(run, capsys) == ["no validation: no cine is in val or test"]


def test_data_without_training_cines_are_refused_in_a_sentence(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    data = noise(tmp_path, ("val", 20), ("val", 20), ("test", 20))
    with pytest.raises(
        UsageError, match=r"^no training cine: .*\(3\) fell to val and test; add cines or state `split`"
    ):
        usssl.pretrain(pretrain_recipe, data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


STEP, STEP_S = ("lower data.clip.step or data.clip.frames", "lower method.step_s or data.clip.frames")


@pytest.mark.parametrize(
    ("cines", "overrides", "begins", "ends"),
    [
        ([20, 20, 20, 20], {}, None, None),
        ([20, 20, 20], {}, "only 3 training cines for batches of 4, so that", "or lower trainer.batch_size"),
        ([20, 20, 20, 6], {}, "1 of 4 training cines (25 %) cannot hold a clip whole", STEP),
        ([20, 20, 20, 1], {}, "1 of 4 training cines (25 %) cannot hold a clip whole", STEP),
        ([20] * 4, {"data.clip.step": 100}, "4 of 4 training cines (100 %) cannot hold a clip whole", STEP),
        ([20] * 4, {"method.step_s": 0.5}, "4 of 4 training cines (100 %) cannot hold a clip whole", STEP_S),
        ([1] * 4, {"data.clip.frames": 1}, None, None),
    ],
)
def test_short_and_few_cines_are_told_once(
    tmp_path: Path,
    pretrain_recipe: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    cines: list[int],
    overrides: dict[str, Any],
    begins: str | None,
    ends: str | None,
) -> None:
    data = noise(tmp_path, *[("train", frames) for frames in cines], ("val", 20))
    method = {"method": {"name": "cvrl", "hidden": 16, "hidden_layers": 2, "dim": 8}}
    run = usssl.pretrain(pretrain_recipe | method, data | overrides, out=tmp_path / "run")
    lines = told(run, capsys)
    assert len(lines) == (begins is not None)
    for line in lines:
        assert line.startswith(begins)
        assert line.endswith(ends)


@pytest.mark.parametrize(
    ("name", "frames"), [("cvrl", 4), ("vtdl", 4), ("cate", 4), ("cep", 4), ("cep", 1), ("order_transform", 4)]
)
def test_single_frames_alone_are_refused_where_clips_have_more(
    tmp_path: Path, pretrain_recipe: dict[str, Any], name: str, frames: int
) -> None:
    data = noise(tmp_path, *[("train", 1)] * 4, ("val", 20))
    hint = ", or set data.clip.frames=1 for a method that learns from pictures" if frames > 1 else ""
    with pytest.raises(UsageError) as refused:
        usssl.pretrain(
            pretrain_recipe | {"method": {"name": name}}, data | {"data.clip.frames": frames}, out=tmp_path / "run"
        )
    assert str(refused.value) == (
        f"all training cines (4) are single frames, of which no clip can be made; name cines of several frames{hint}"
    )
    assert not (tmp_path / "run").exists()


def test_files_that_cannot_be_read_are_in_the_log_without_their_names(
    tmp_path: Path, pretrain_recipe: dict[str, Any]
) -> None:
    folder = make_cine_folder(tmp_path / "cines", cines=4, frames=20)
    (folder / "Doe_Jane.mp4").write_bytes(b"")
    run = usssl.pretrain(pretrain_recipe, {**ONE_STEP, "data.source": str(folder)}, out=tmp_path / "run")
    log = (run.path / "log.txt").read_text()
    assert len(re.findall(rf"1 file of {re.escape(str(folder))} cannot be read; the reasons are in .*\.csv", log)) == 1
    assert "Doe" not in log


def test_a_gpu_that_is_not_there_is_refused_before_the_data_are_looked_at(
    tmp_path: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"trainer\.device is cuda, but torch finds no CUDA device here"):
        usssl.pretrain(pretrain_recipe, {"trainer.device": "cuda", "data.source": "nowhere"}, out=tmp_path / "run")


def test_training_that_diverges_stops_with_a_sentence(tmp_path: Path, pretrain_recipe: dict[str, Any]) -> None:
    with pytest.raises(usssl.errors.UssslError, match=r"the loss is .* at step \d+; lower optimizer.lr"):
        usssl.pretrain(pretrain_recipe, {"optimizer.lr": 1e30, "schedule.warmup_epochs": 0}, out=tmp_path / "run")
