"""Each claim runs end to end with trainings of two steps, and its arms differ by what they say and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from usssl.engine.reproduce import cate, reproduce, vtdl
from usssl.engine.reproduce.training import ToyEncoder, train


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cate, vtdl):
        for name, value in (("STEPS", 2), ("BATCH", 8), ("TRAIN", 10), ("TEST", 6), ("PAIRS", 64)):
            monkeypatch.setattr(module, name, value, raising=False)


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("module", [cate, vtdl], ids=["cate", "vtdl"])
def test_a_claim_runs_end_to_end(module: object, tmp_path: Path) -> None:
    claim = module.CLAIM  # type: ignore[attr-defined]
    found = json.loads(reproduce(claim, tmp_path, seeds=[100]).read_text())
    assert found["verdict"] == "not shown", "one seed shows nothing"
    values = {(line["metric"], line["arm"]): line["values"][0] for line in found["figures"]}
    assert set(values) == {(metric.name, arm) for metric in claim.metrics for arm in claim.arms}
    first = claim.metrics[0].name
    assert all(0 <= values[first, arm] <= 1 for arm in claim.arms)
    # the same seed gives the same number
    arm = next(iter(claim.arms))
    assert claim.measure(arm, 100, tmp_path)[first] == values[first, arm]


def test_arms_of_cate_differ_by_what_the_head_is_told() -> None:
    arms = {arm: cate.build(arm, 0) for arm in cate.ARMS}
    assert arms["none"].arguments.encodings.kinds == ()
    assert arms["shuffled"].arguments.encodings.shuffled
    assert not arms["true"].arguments.encodings.shuffled
    assert arms["true"].arguments.encodings.kinds == ("time", "crop")
    for method in arms.values():
        for ours, first in zip(method.encoder.parameters(), arms["none"].encoder.parameters(), strict=True):
            assert torch.equal(ours, first)


def test_arms_of_vtdl_differ_by_triplet_and_tca() -> None:
    found = {arm: (m.arguments.triplet, m.arguments.tca) for arm in vtdl.ARMS for m in [vtdl.build(arm, 0)]}
    assert found == {
        "neither": (False, 0),
        "no triplet": (False, 0.1),
        "no TCA": (True, 0),
        "full": (True, 0.1),
        "untrained": (True, 0.1),
    }


def test_the_toy_encoder_keeps_its_promises() -> None:
    encoder = ToyEncoder(16).eval()
    features = encoder.features(torch.rand(2, 8, 1, 32, 40))
    assert features.shape == (2, 8 // encoder.time_stride, 16, 32 // encoder.stride, 40 // encoder.stride)


@pytest.mark.usefixtures("_tiny")
def test_training_moves_the_encoder_and_is_seeded(tmp_path: Path) -> None:
    store = cate.store(tmp_path)
    weights = []
    for seed in (0, 0, 1):
        method = cate.build("true", 0)
        losses = train(method, store, steps=2, batch_size=8, lr=1e-3, seed=seed)
        assert len(losses) == 2
        weights.append(next(method.encoder.parameters()).detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], next(cate.build("true", 0).encoder.parameters()))
