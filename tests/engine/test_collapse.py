"""The collapse monitor: what it measures, and when it says so in words."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import nn

import usssl
from tests.methods.tiny import build, fake_views
from usssl.engine.collapse import CollapseMonitor
from usssl.methods import Method
from usssl.methods.base import Watched


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


def watch(batches, every: int = 1, *, to_the_end: bool = False) -> tuple[Log, list[dict[str, float]]]:
    """Watches features of some batches, measuring every few of them, and ends the run where asked to."""
    log, found = Log(), []
    method = SimpleNamespace(watched=deque())
    monitor = CollapseMonitor(log, method, batch_size=16)
    for number, batch in enumerate(batches):
        method.watched.append(batch)
        if number % every == 0:
            found.append(monitor.measure())
    if to_the_end:
        engine = Engine(lambda *_: None)
        monitor.attach(engine)
        engine.run([0])
    return log, found


def batch(spread: float, seed: int, rows: int = 16) -> Watched:
    generator = torch.Generator().manual_seed(seed)
    cines = torch.arange(rows) // 2
    places = torch.randn(rows // 2, 32, generator=generator).repeat_interleave(2, dim=0)
    near = 0.1 * torch.randn(rows, 32, generator=generator)
    return Watched(torch.ones(rows, 32) + spread * (places + near), cines + 100 * seed)


def test_healthy_features_are_measured_and_nothing_is_said() -> None:
    log, found = watch([batch(3.0, seed) for seed in range(6)])
    assert found[-1]["feature_std"] > 0.8
    assert found[-1]["effective_rank"] > 10
    assert found[-1]["same_cine_knn"] == 1
    assert not log.lines


def test_collapse_is_said_once_in_words_after_three_measures() -> None:
    log, found = watch([batch(1e-4, seed) for seed in range(8)])
    assert found[-1]["feature_std"] < 0.01
    assert len(log.lines) == 1
    assert "the features have collapsed" in log.lines[0]
    assert "lower optimizer.lr" in log.lines[0]


def test_one_bad_measure_is_not_yet_collapse() -> None:
    batches = [batch(1e-4, 0), batch(1e-4, 1), *[batch(3.0, seed) for seed in range(2, 30)]]
    log, _ = watch(batches, every=2)
    assert not log.lines


def test_at_the_end_of_a_run_the_last_measure_is_enough() -> None:
    bad, good = [batch(1e-4, seed) for seed in range(2)], [batch(3.0, seed) for seed in range(2, 4)]
    assert len(watch(bad, to_the_end=True)[0].lines) == 1
    assert not watch([*bad, *good], to_the_end=True)[0].lines
    assert len(watch([batch(1e-4, seed) for seed in range(8)], to_the_end=True)[0].lines) == 1, "said before"


def test_a_short_pretraining_that_ends_collapsed_says_so(
    tmp_path: Path, pretrain_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def alike(self: Method, features: torch.Tensor, cines: torch.Tensor, *_: object) -> None:
        if self.training:
            self.watched.append(Watched(torch.ones_like(features.detach()), cines))

    fine = usssl.pretrain(pretrain_recipe, out=tmp_path / "fine")
    assert "collapsed" not in (fine.path / "log.txt").read_text()
    monkeypatch.setattr(Method, "watch", alike)
    run = usssl.pretrain(pretrain_recipe, out=tmp_path / "run")
    assert (run.path / "log.txt").read_text().count("the features have collapsed") == 1


def test_features_on_one_line_are_collapse_too() -> None:
    direction = torch.randn(1, 32)
    lines = [Watched(torch.randn(16, 1) * direction, torch.arange(16)) for _ in range(5)]
    log, found = watch(lines)
    assert found[-1]["effective_rank"] == pytest.approx(1, abs=0.01)
    assert len(log.lines) == 1


def test_the_newest_clips_count_and_too_few_say_nothing() -> None:
    assert watch([batch(3.0, 0, rows=4)])[1] == [{}]
    old, new = [batch(1e-4, seed) for seed in range(16)], [batch(3.0, seed) for seed in range(16, 32)]
    assert watch([*old, *new])[1][-1]["feature_std"] > 0.8


def test_a_method_that_shows_no_features_is_not_measured() -> None:
    log = Log()
    monitor = CollapseMonitor(log, SimpleNamespace(watched=deque()), batch_size=16)
    assert monitor.measure() == {}


# -- heads ---------------------------------------------------------------------------------------------------------

HEADS = {
    "cvrl": ("cvrl", {}, "head"),
    "vtdl": ("vtdl", {}, "head"),
    "cep": ("cep", {}, "cycle"),
    "cate": ("cate", {}, "head"),
    "cate, MLP": ("cate", {"head": "mlp"}, "head"),
    "cate, queue": ("cate", {"negatives": "queue"}, "head"),
}


def embedded(spread: float, seed: int, at: torch.Tensor) -> Watched:
    """Healthy features whose embeddings lie about one place."""
    noise = torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))
    return batch(3.0, seed)._replace(embedding=at + spread * noise)


@pytest.mark.parametrize("which", HEADS)
@pytest.mark.parametrize("constant", [False, True])
def test_a_head_to_which_all_clips_are_alike_is_said_whatever_the_encoder_sees(which: str, constant: bool) -> None:
    name, arguments, head = HEADS[which]
    method = build(name, **arguments)
    if constant:
        last = [layer for layer in method.get_submodule(head).modules() if isinstance(layer, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.ones_(last.bias)
    log = Log()
    monitor = CollapseMonitor(log, method, batch_size=16)
    for step in range(4):
        views = fake_views(name, batch=16, seed=step)
        pixels = {key: value for key, value in views.items() if value.ndim >= 5}
        # Noise looks alike to a fresh head; noise of many contrasts does not.
        loud = torch.logspace(-1, 1, 16)
        method(views | {key: torch.einsum("i...,i->i...", value, loud) for key, value in pixels.items()})
        found = monitor.measure()
    assert found["feature_std"] > 0.05
    assert found["effective_rank"] > 2
    if constant:
        assert found["embedding_std"] == pytest.approx(0, abs=1e-6)
        assert found["embedding_rank"] == 0
        assert len(log.lines) == 1
        assert "the embeddings have collapsed: all clips look nearly alike to the head (deviation 0.000" in log.lines[0]
    else:
        assert found["embedding_std"] > 0.05
        assert found["embedding_rank"] > 2
        assert not log.lines


def test_embeddings_that_only_drift_from_step_to_step_are_collapsed() -> None:
    """Their weights move, so that they lie apart though the clips of each step are alike."""
    at = torch.nn.functional.normalize(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    log, found = watch([embedded(0.002, seed, at[seed]) for seed in range(8)])
    assert found[-1]["embedding_std"] < 0.01
    assert len(log.lines) == 1
    assert not watch([embedded(0.2, seed, at[seed]) for seed in range(8)])[0].lines


def test_the_embeddings_bound_is_where_two_clips_are_9984_in_10000_alike() -> None:
    at = nn.functional.normalize(torch.ones(8), dim=0)
    for spread, said in ((0.0135, True), (0.0165, False)):
        steps = [embedded(spread, seed, at) for seed in range(4)]
        log, found = watch(steps)
        unit = nn.functional.normalize(steps[0].embedding, dim=1)
        cosine = (unit @ unit.T)[~torch.eye(16, dtype=torch.bool)].mean().item()
        # The mean cosine of two of n clips is 1 - std² n / (n - 1).
        assert cosine == pytest.approx(1 - found[0]["embedding_std"] ** 2 * 16 / 15, abs=1e-5)
        assert (cosine < 0.9984) is not said
        assert len(log.lines) == said
