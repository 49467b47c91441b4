"""Ranks that share every batch train as one process does, and end together when one of them cannot go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import yaml
from torch import Tensor

import usssl
from tests.methods.ranks import on_two_ranks
from usssl.engine import pretraining, ranks
from usssl.engine.batches import ClipBatches
from usssl.engine.run import Run
from usssl.errors import UsageError
from usssl.methods import Method
from usssl.recipe import TrainerArguments, read_recipe

METHODS: dict[str, dict[str, Any]] = {
    "order_transform": {"hidden": 16, "dropout": 0.0, "orders": 2},
    "cvrl": {"hidden": 16, "hidden_layers": 2, "dim": 8},
}


def recipe_of(name: str, source: Path) -> dict[str, Any]:
    """Six steps of four clips; without dropout, whose draws differ from rank to rank."""
    return {
        "data": {"source": str(source), "clip": {"frames": 3, "step": 2, "size": [32, 32]}},
        "encoder": {"name": "sononet16", "width": 0.125},
        "method": {"name": name, **METHODS[name]},
        "optimizer": {"lr": 0.02},
        "schedule": {"warmup_epochs": 0},
        "trainer": {"epochs": 2, "clips_per_epoch": 12, "batch_size": 4, "precision": "fp32", "device": "cpu"},
        "tracking": {"tensorboard": False},
    }


# -- shares of a batch -----------------------------------------------------------------------------------------


def test_the_shares_of_all_ranks_are_the_batch(
    source: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_recipe(pretrain_recipe)
    store = pretraining.open_data(recipe)
    sampler = pretraining.build_method(recipe).sampler()
    batches = ClipBatches(store, pretraining.split_cines(store, "train"), sampler, 6, seed=3)
    monkeypatch.setattr(ranks, "ranks", lambda: 3)
    parts = []
    for number in range(3):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        parts.append(ranks.Share(batches)[2])
    whole = batches[2]
    assert [len(part) for part in parts] == [2, 2, 2]
    for fact in ("frames", "samples", "cines", "times_s"):
        assert torch.equal(torch.cat([getattr(part, fact) for part in parts]), getattr(whole, fact))


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "ranks", lambda: 3)
    with pytest.raises(UsageError, match=r"trainer.batch_size: 16 clips cannot be shared by 3 ranks alike"):
        ranks.check_share(TrainerArguments(batch_size=16))
    with pytest.raises(UsageError, match=r"trainer.device: cuda:1 is one GPU for 3 ranks; write cuda"):
        ranks.check_share(TrainerArguments(batch_size=15, device="cuda:1"))


def test_dropout_differs_between_ranks_and_is_drawn_again_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "ranks", lambda: 2)
    drawn = {}
    for number, step in ((0, 5), (1, 5), (0, 6)):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        ranks.seed_step(0, step)
        drawn[number, step] = torch.rand(4)
        ranks.seed_step(0, step)
        assert torch.equal(torch.rand(4), drawn[number, step])
    assert not torch.equal(drawn[0, 5], drawn[1, 5])
    assert not torch.equal(drawn[0, 5], drawn[0, 6])


# -- whole runs --------------------------------------------------------------------------------------------------


def in_double(recipe: Any) -> Method:
    """The method in float64: in float32, rounding alone changes gradients of so small a network by percents."""
    method = build_method(recipe).double()
    views = method.views

    def wide(clips: Any, seed: int) -> dict[str, Tensor]:
        return {key: x.double() if x.is_floating_point() else x for key, x in views(clips, seed).items()}

    method.views = wide
    method.pooled = lambda clips: method.encoder.features(clips).mean(dim=(1, 3, 4))  # Encoder.forward gives float32
    return method


build_method = pretraining.build_method


def pretrain_all(source: Path, folder: Path) -> None:
    for name in METHODS:
        with mock.patch.object(pretraining, "build_method", in_double):
            usssl.pretrain(recipe_of(name, source), out=folder / name)


@pytest.mark.slow  # two processes import everything anew
@pytest.mark.timeout(900)
def test_two_ranks_pretrain_as_one_process(source: Path, tmp_path: Path) -> None:
    pretrain_all(source, tmp_path / "one")
    on_two_ranks(pretrain_all, source, tmp_path / "two")
    for name in METHODS:
        one, two = (Run.open(tmp_path / count / name) for count in ("one", "two"))
        expected, found = one.load_weights("method"), two.load_weights("method")
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=1e-5, atol=1e-7, msg=lambda text, key=key: f"{key}: {text}"
            )
        lines = list(zip(one.metrics(), two.metrics(), strict=True))
        assert [line["step"] for line, _ in lines] == [3, 6, 6]
        for line, other in lines:
            assert line.keys() == other.keys()
            for key in line.keys() - {"clips_per_s", "data_wait"}:
                assert other[key] == pytest.approx(line[key], rel=1e-4, abs=2e-6), key
        assert two.provenance()["ranks"] == 2


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc-per-node 2 …` on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)


@pytest.mark.slow
def test_an_encoder_that_cannot_be_built_is_said_once(source: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(recipe_of("cvrl", source)))
    refused = torchrun("-m", "usssl", "pretrain", str(recipe), "encoder.name=resnet", "-o", str(out))
    assert refused.returncode
    assert refused.stderr.count("unknown encoder 'resnet'") == 1
    assert not out.exists()


@pytest.mark.slow
def test_data_that_offer_no_clip_are_said_once(source: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(recipe_of("order_transform", source)))
    refused = torchrun("-m", "usssl", "pretrain", str(recipe), "data.clip.step=30", "-o", str(out))
    assert refused.returncode
    assert refused.stderr.count("none of the 6 cines offers a clip") == 1
    assert not out.exists()


STOPS = """
import os, sys
from usssl.cli import main
from usssl.engine.training import Training
from usssl.errors import UssslError
step = Training._step
def stops(self, engine, batch):
    if self.state.step == 4 and os.environ["RANK"] == "1":
        raise UssslError("the disk of rank 1 is full")
    return step(self, engine, batch)
Training._step = stops
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_torchrun_stops_with_a_sentence_and_resumes(source: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    content = recipe_of("order_transform", source)
    content["trainer"]["checkpoint_minutes"] = 1e-6
    recipe.write_text(yaml.safe_dump(content))
    call = ("pretrain", str(recipe), "-o", str(out))

    odd = torchrun("-m", "usssl", *call, "trainer.batch_size=5")
    assert odd.returncode
    assert odd.stderr.count("trainer.batch_size: 5 clips cannot be shared by 2 ranks alike") == 1
    assert not out.exists()

    (tmp_path / "stops.py").write_text(STOPS)
    stopped = torchrun(str(tmp_path / "stops.py"), *call)
    assert stopped.returncode
    assert "usssl: the disk of rank 1 is full" in stopped.stderr
    run = Run.open(out)
    assert not run.finished

    resumed = torchrun("-m", "usssl", *call, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.split() == [str(out)]
    assert run.finished
    assert [line["step"] for line in run.metrics() if "loss" in line] == [6]
    whole = torchrun("-m", "usssl", "pretrain", str(recipe), "-o", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    expected, found = Run.open(tmp_path / "whole").load_weights("method"), run.load_weights("method")
    assert all(torch.equal(found[key], value) for key, value in expected.items())
