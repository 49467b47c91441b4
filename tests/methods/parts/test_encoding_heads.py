"""Heads that are told encodings: composable, in any order, absent ones as if they were not there (methods/cate, 10)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from usssl.augment import Encoding
from usssl.methods.functional import info_nce
from usssl.methods.parts.encoding_heads import ConcatHead, TokenHead

NUMBERS = {"time": 3, "crop": 4, "flip": 1}
HEADS = ["token", "concat"]


def head(kind: str) -> TokenHead | ConcatHead:
    torch.manual_seed(0)
    if kind == "token":
        return TokenHead(6, NUMBERS, width=16, layers=2, heads=4, out=8)
    return ConcatHead(6, NUMBERS, width=16, out=8)


def encodings(batch: int = 5) -> dict[str, Encoding]:
    generator = torch.Generator().manual_seed(1)
    return {
        kind: Encoding(torch.randn(batch, count, generator=generator), torch.ones(batch, dtype=torch.bool))
        for kind, count in NUMBERS.items()
    }


def features(batch: int = 5) -> Tensor:
    return torch.randn(batch, 6, generator=torch.Generator().manual_seed(2))


def unknown(encoding: Encoding) -> Encoding:
    return Encoding(torch.full_like(encoding.values, 7.0), torch.zeros_like(encoding.known))


@pytest.mark.parametrize("kind", HEADS)
def test_outputs_are_unit_vectors_and_each_encoding_changes_them(kind: str) -> None:
    net, told = head(kind), encodings()
    z = net(features(), told)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))
    for one in told:
        other = dict(told) | {one: Encoding(told[one].values + 1, told[one].known)}
        assert (net(features(), other) - z).abs().max() > 1e-3, one


@pytest.mark.parametrize("kind", HEADS)
def test_the_order_of_encodings_does_not_matter(kind: str) -> None:
    net, told = head(kind), encodings()
    shuffled = {name: told[name] for name in ("flip", "time", "crop")}
    torch.testing.assert_close(net(features(), shuffled), net(features(), told), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", HEADS)
def test_an_unknown_encoding_is_an_absent_one_and_not_a_zero(kind: str) -> None:
    net, told = head(kind), encodings()
    absent = net(features(), {"time": told["time"], "flip": told["flip"]})
    masked = net(features(), told | {"crop": unknown(told["crop"])})
    torch.testing.assert_close(masked, absent, atol=1e-5, rtol=0)
    zero = Encoding(torch.zeros(5, 4), torch.ones(5, dtype=torch.bool))
    assert (net(features(), told | {"crop": zero}) - absent).abs().max() > 1e-3
    one_row = told["crop"].known.clone()
    one_row[2] = False
    mixed = net(features(), told | {"crop": Encoding(told["crop"].values, one_row)})
    torch.testing.assert_close(mixed[2], absent[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed[one_row], net(features(), told)[one_row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", HEADS)
def test_a_row_does_not_see_the_rest_of_the_batch(kind: str) -> None:
    net, told = head(kind), encodings()
    alone = {name: Encoding(e.values[:2], e.known[:2]) for name, e in told.items()}
    torch.testing.assert_close(net(features()[:2], alone), net(features(), told)[:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", HEADS)
def test_supplied_encodings_get_gradient_and_others_none(kind: str) -> None:
    net, told = head(kind), encodings()
    values = {name: e.values.requires_grad_() for name, e in told.items()}
    given = {name: Encoding(values[name], told[name].known) for name in ("time", "flip")}
    (net(features(), given) * torch.arange(8.0)).sum().backward()
    assert values["time"].grad.abs().sum() > 0
    assert values["flip"].grad.abs().sum() > 0
    assert values["crop"].grad is None
    assert all(p.grad is None or not p.grad.any() for p in net.kinds["crop"].parameters())


@pytest.mark.parametrize(
    ("told", "losses", "mean"),
    [
        ((0, 0), (1.313262, 0.568120), 0.940691),
        ((90, 0), (0.568120, 0.568120), 0.568120),
        ((0, 90), (1.313262, 1.313262), 1.313262),
    ],
)
def test_the_loss_of_queries_turned_by_what_they_are_told(told, losses, mean: float) -> None:
    """Figures of methods/cate, property 4: features at 0 and 60 degrees, keys turned by 90 and 0. No head in it."""

    def at(*degrees: float) -> Tensor:
        return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees]).double()

    query, key = at(0 + told[0], 60 + told[1]), at(90, 60)
    found = info_nce(query, key, 0.5, reduction="none")
    assert found.tolist() == pytest.approx(losses, abs=1e-6)
    assert found.mean().item() == pytest.approx(mean, abs=1e-6)
