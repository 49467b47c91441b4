"""Fine-tuning, evaluation and export on a tiny source: labels are learned, weights travel, arms are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import usssl
from usssl.engine.evaluation import Trial, summarise, trial_recipe
from usssl.engine.run import Run
from usssl.engine.training import Training
from usssl.errors import UsageError
from usssl.recipe import PretrainRecipe

LONGER = {
    "trainer.epochs": 12,
    "trainer.clips_per_epoch": 96,
    "trainer.batch_size": 16,
    "optimizer.lr": 0.05,
    "encoder.width": 0.5,
}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, source: Path, cache: Path) -> Run:
    patch = pytest.MonkeyPatch()
    patch.setenv("USSSL_CACHE", str(cache))
    recipe = {
        "data": {"source": str(source), "clip": {"frames": 4, "step": 3, "size": [48, 64]}},
        "encoder": {"name": "sononet16", "width": 0.5},
        "method": {"name": "order_transform"},
        "trainer": {"epochs": 1, "clips_per_epoch": 16, "batch_size": 4, "precision": "fp32", "device": "cpu"},
        "tracking": {"tensorboard": False},
    }
    run = usssl.pretrain(recipe, out=tmp_path_factory.mktemp("runs") / "pretrained")
    patch.undo()
    return run


def test_planes_are_learned_and_measured_on_test_patients(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    run = usssl.finetune(planes_recipe, LONGER, out=tmp_path / "planes")
    result = json.loads((run.path / "test.json").read_text())
    assert result["cines"] == 2
    assert result["details"]["classes"] == ["bar", "disc", "background"]
    assert np.sum(result["details"]["confusion"]) == 2 * 20
    assert result["metrics"]["macro_f1"] > 0.7


def test_saliency_is_learned_and_beats_a_uniform_map(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    recipe = planes_recipe | {"task": {"name": "saliency"}, "optimizer": {"name": "adamw", "lr": 2e-3}}
    run = usssl.finetune(recipe, {**LONGER, "optimizer.lr": 2e-3}, out=tmp_path / "saliency")
    metrics = json.loads((run.path / "test.json").read_text())["metrics"]
    assert set(metrics) == {"kld", "nss", "cc", "sim", "auc_judd"}
    assert metrics["nss"] > 0.5  # 0 for a map that knows nothing
    assert metrics["auc_judd"] > 0.6  # 0.5 for the same


def test_the_best_epoch_on_validation_cines_is_kept(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    # A rate this large destroys what the first epochs learned.
    restless = {"trainer.epochs": 6, "optimizer.lr": 3.0, "schedule.name": "constant", "schedule.warmup_epochs": 0}
    best = usssl.finetune(planes_recipe, restless, out=tmp_path / "best")
    found = [line["val_macro_f1"] for line in best.metrics() if "val_macro_f1" in line]
    assert len(found) == 6
    assert f"kept the weights after epoch {int(np.argmax(found)) + 1}," in (best.path / "log.txt").read_text()
    last = usssl.finetune(planes_recipe, {**restless, "keep": "last"}, out=tmp_path / "last")
    assert not [line for line in last.metrics() if "val_macro_f1" in line]
    assert np.argmax(found) < 5, "choose another rate: the last epoch was the best"
    kept, final = best.load_weights("model"), last.load_weights("model")
    assert not torch.equal(kept["head.classifier.weight"], final["head.classifier.weight"])


def test_a_killed_fine_tuning_remembers_its_best_epoch(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    long = {"trainer.epochs": 4, "optimizer.lr": 0.05}
    whole = usssl.finetune(planes_recipe, long, out=tmp_path / "whole")
    patch = pytest.MonkeyPatch()
    step = Training._step

    def killed(training: Training, *arguments: Any) -> Any:
        if training.state.step == 15:
            raise KeyboardInterrupt
        return step(training, *arguments)

    patch.setattr(Training, "_step", killed)
    often = {**long, "trainer.checkpoint_minutes": 1e-9}
    with pytest.raises(KeyboardInterrupt):
        usssl.finetune(planes_recipe, often, out=tmp_path / "killed")
    patch.undo()
    resumed = usssl.finetune(planes_recipe, often, out=tmp_path / "killed", resume=True)
    expected, found = whole.load_weights("model"), resumed.load_weights("model")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_fine_tuning_starts_from_the_pretrained_weights(
    tmp_path: Path, planes_recipe: dict[str, Any], pretrained: Run
) -> None:
    still = {"optimizer.lr": 1e-12, "trainer.epochs": 1, "start_from": str(pretrained.path)}
    run = usssl.finetune(planes_recipe, still, out=tmp_path / "run")
    assert run.recipe().encoder.width == 0.5, "the encoder is the pretraining run's, not the recipe's"
    before, after = pretrained.load_weights("encoder"), run.load_weights("encoder")
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in weights)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ({"start_from": "nowhere"}, "there is no run at nowhere"),
        ({"start_from": "nowhere.safetensors"}, "there are no weights at nowhere.safetensors"),
        ({"data.labelled_cines": 99}, "99 labelled training cines are asked for, but there are 6"),
    ],
)
def test_impossible_starts_are_refused(
    tmp_path: Path, planes_recipe: dict[str, Any], override: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        usssl.finetune(planes_recipe, override, out=tmp_path / "run")


def test_pickled_weights_are_refused_unread(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"weights": Bomb()}, tmp_path / "weights.safetensors")
    with pytest.raises(UsageError, match=r"not a readable \.safetensors file"):
        usssl.finetune(planes_recipe, {"start_from": str(tmp_path / "weights.safetensors")}, out=tmp_path / "run")
    assert not (tmp_path / "exploded").exists()


def test_export_gives_a_bundle_that_predicts_like_the_model(
    tmp_path: Path, planes_recipe: dict[str, Any], source: Path
) -> None:
    planes = usssl.finetune(planes_recipe, {"trainer.epochs": 1}, out=tmp_path / "planes")
    recipe = planes_recipe | {"task": {"name": "saliency"}}
    saliency = usssl.finetune(recipe, {"trainer.epochs": 1}, out=tmp_path / "saliency")
    bundle = usssl.open_bundle(usssl.export([planes.path, saliency.path], tmp_path / "bundle"))
    assert bundle.classes == ("bar", "disc", "background")
    assert max(bundle.metadata.usssl.parity.max_abs_error.values()) < 1e-2
    with usssl.open_cine(source / "cine4.mp4", color="grey") as cine:
        prediction = bundle.predict(cine)
    assert prediction.plane_probs.shape == (40, 3)
    np.testing.assert_allclose(prediction.saliency.sum(axis=(1, 2)), 1, atol=1e-4)
    with pytest.raises(UsageError, match="one run of each task"):
        usssl.export([planes.path, planes.path], tmp_path / "twice")


def test_few_label_evaluation_compares_arms_and_can_be_taken_up(tmp_path: Path, pretrained: Run) -> None:
    patch = pytest.MonkeyPatch()
    from usssl.engine import evaluation

    patch.setitem(evaluation.PROTOCOLS["fewlabel"], "trainer", {"epochs": 1, "clips_per_epoch": 8, "batch_size": 4})
    try:
        arguments = {"budgets": [2], "seeds": 2, "tasks": ["planes"], "out": tmp_path / "fewlabel"}
        path = usssl.evaluate([pretrained.path], **arguments)
        again = usssl.evaluate([pretrained.path], **arguments)
    finally:
        patch.undo()
    results = json.loads(path.read_text())
    assert json.loads(again.read_text()) == results
    assert {(t["arm"], t["seed"]) for t in results["trials"]} == {
        (arm, seed) for arm in ("random", "pretrained") for seed in (0, 1)
    }
    line = next(x for x in results["summary"] if x["arm"] == "pretrained" and x["metric"] == "macro_f1")
    assert line["difference_to_random"]["count"] == 2


def test_the_head_alone_is_trained_where_the_recipe_says_so(planes_recipe: dict[str, Any], tmp_path: Path) -> None:
    start = usssl.finetune(planes_recipe, {"trainer.epochs": 1}, out=tmp_path / "start")
    over = {"start_from": str(start.path), "train": "head", "keep": "last", "trainer.epochs": 1}
    run = usssl.finetune(planes_recipe, over, out=tmp_path / "head")
    before, after = start.load_weights("encoder"), run.load_weights("encoder")
    assert all(torch.equal(before[name], after[name]) for name in before)
    heads = [r.load_weights("model")["head.classifier.weight"] for r in (start, run)]
    assert not torch.equal(*heads)


def test_the_linear_protocol_trains_heads_alone_in_full_precision(pretrained: Run) -> None:
    recipe = pretrained.recipe()
    assert isinstance(recipe, PretrainRecipe)
    found = trial_recipe(recipe, Trial("linear", "saliency", 2, "random", 1, "random"))
    assert (found.train, found.trainer.precision, found.seed, found.start_from) == ("head", "fp32", 1, "random")


def test_an_unknown_protocol_names_the_known_ones(pretrained: Run) -> None:
    with pytest.raises(UsageError, match="known are: fewlabel, linear"):
        usssl.evaluate([pretrained.path], protocol="knn")


def test_summary_by_hand() -> None:
    rows = [
        {"task": "planes", "budget": 2, "arm": arm, "seed": seed, "metrics": {"macro_f1": value}}
        for arm, values in (("random", (0.2, 0.4)), ("a", (0.5, 0.6)))
        for seed, value in enumerate(values)
    ]
    by_arm = {line["arm"]: line for line in summarise(rows)}
    assert by_arm["random"]["interval"]["mean"] == pytest.approx(0.3)
    # Student's t with one degree of freedom: 12.706 * sd / sqrt(2), sd = 0.0707 for (0.5, 0.6)
    assert by_arm["a"]["interval"]["high"] == pytest.approx(0.55 + 12.706 * 0.05, abs=1e-3)
    assert by_arm["a"]["difference_to_random"]["mean"] == pytest.approx(0.25)


def test_a_gpu_that_is_not_there_is_refused_before_the_data_are_read(
    tmp_path: Path, planes_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"trainer\.device is cuda, but torch finds no CUDA device here"):
        usssl.finetune(planes_recipe, {"trainer.device": "cuda", "data.source": "nowhere"}, out=tmp_path / "run")
