"""CATE as a whole: no leak through encodings, its ablations, and what gets gradient (methods/cate, section 10)."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.tiny import build, fake_views


class Constant(torch.nn.Module):
    """An encoder that sees nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.vector = torch.nn.Parameter(torch.ones(1, 1, dim))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.vector.expand(len(clips), 1, -1)


@pytest.mark.parametrize("head", ["transformer", "mlp"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_encodings_alone_cannot_find_the_pair(head: str, scale: float) -> None:
    method, views = build("cate", head=head), fake_views("cate", batch=4)
    method.encoder = Constant(12)
    told = {name: value * scale if "/" in name else value for name, value in views.items()}
    assert method(told)["loss"].item() == pytest.approx(math.log(4), abs=1e-5)
    assert math.log(4) == pytest.approx(1.386294, abs=1e-6)


def test_encodings_alone_cannot_find_the_pair_among_a_queue_of_identical_keys() -> None:
    method, views = build("cate", negatives="queue"), fake_views("cate", batch=4)
    method.encoder = Constant(12)
    method.target["encoder"] = Constant(12)
    key = method.target("head", torch.ones(1, 12), {})
    method.queue.keys.copy_(key.expand(24, -1))
    assert method(views)["loss"].item() == pytest.approx(math.log(25), abs=1e-5)


def test_queries_are_told_and_keys_are_not() -> None:
    method, views = build("cate").eval(), fake_views("cate")
    keys = method.head(method.pooled(views["b"]), {})
    other = {name: value + 1 if "/" in name else value for name, value in views.items()}
    assert (method(other)["loss"] - method(views)["loss"]).abs() > 1e-6
    assert torch.equal(method.head(method.pooled(other["b"]), {}), keys)


@pytest.mark.parametrize("negatives", ["batch", "queue"])
def test_the_encoder_gets_gradient_from_both_sides_with_a_batch_and_from_queries_with_a_queue(negatives: str) -> None:
    method, views = build("cate", negatives=negatives), fake_views("cate")
    for name in ("a", "b"):
        views[name].requires_grad_()
    told = {name: value.requires_grad_() for name, value in views.items() if "/" in name}
    method(views)["loss"].backward()
    assert views["a"].grad.abs().sum() > 0
    assert views["b"].grad.abs().sum() > 0
    assert all(value.grad.abs().sum() > 0 for value in told.values())
    if negatives == "queue":
        assert all(parameter.grad is None for parameter in method.target.parameters())


def test_without_encodings_the_head_has_none_and_the_gap_is_nothing() -> None:
    method = build("cate", encodings={"kinds": []})
    views = {name: value for name, value in fake_views("cate").items() if "/" not in name}
    assert not method.head.kinds
    assert method(views)["told_gap"].item() == pytest.approx(0, abs=1e-6)


def test_unknown_encodings_are_absent() -> None:
    method, views = build("cate"), fake_views("cate")
    unknown = views | {name: torch.full_like(views[name], torch.nan) for name in ("query_a/time", "query_b/time")}
    absent = {name: value for name, value in views.items() if "time" not in name}
    torch.testing.assert_close(method(unknown)["loss"], method(absent)["loss"], atol=1e-5, rtol=1e-5)
