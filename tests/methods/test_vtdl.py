"""VTDL as a whole: what its loss reaches, its ablations, and what negatives cannot give away."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.tiny import build, fake_views
from usssl.data.sampling import Timeline, overlap, sample_rng
from usssl.methods.functional import info_nce


def test_gradients_reach_queries_and_negatives_and_nothing_else() -> None:
    method = build("vtdl")
    views = {name: v.requires_grad_() if v.is_floating_point() else v for name, v in fake_views("vtdl").items()}
    method(views)["loss"].backward()
    assert views["anchor"].grad.abs().sum() > 0
    assert views["negative"].grad.abs().sum() > 0
    assert views["positive"].grad is None
    assert all(parameter.grad is None for parameter in method.target.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.head.parameters())
    assert method.queue.keys.grad is None


def test_the_loss_is_one_softmax_over_positive_queue_and_hard_negative() -> None:
    method, views = build("vtdl", bn_groups=1), fake_views("vtdl")
    q, k, n = method.embed(views["anchor"]), method.embed_key(views["positive"]), method.embed(views["negative"])
    expected = info_nce(q, k, 0.07, method.queue.keys, extra=n[:, None], normalise=False)
    torch.testing.assert_close(method(views)["loss"], expected)


def test_without_the_triplet_the_loss_is_smaller_and_no_negative_is_seen() -> None:
    with_it, without = build("vtdl"), build("vtdl", triplet=False)
    views = fake_views("vtdl")
    assert without(views)["loss"] < with_it(views)["loss"]
    assert "negative_cosine" not in without(views)


def test_the_margin_loss_is_added_where_it_is_asked_for() -> None:
    views = fake_views("vtdl")
    plain, added = build("vtdl")(views), build("vtdl", margin_weight=0.5)(views)
    assert added["loss"].item() == pytest.approx(plain["loss"].item() + 0.5 * added["margin_loss"].item())


def test_keys_enter_the_queue_after_the_step_and_the_target_follows() -> None:
    method = build("vtdl", momentum=0.9)
    before, weight = method.queue.keys.clone(), method.target["head"].weight.clone()
    method(fake_views("vtdl"))["loss"].backward()
    assert torch.equal(method.queue.keys, before), "the loss saw the old queue"
    with torch.no_grad():
        method.head.weight += 1
    method.after_step(0.1)
    torch.testing.assert_close(method.target["head"].weight, 0.9 * weight + 0.1 * method.head.weight)
    assert method.queue.pointer == 8
    assert method.queue.cines[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    torch.testing.assert_close(method.queue.keys[:8].norm(dim=1), torch.ones(8))
    method.eval()
    method(fake_views("vtdl"))
    method.after_step(0.2)
    assert method.queue.pointer == 8, "validation leaves the queue alone"


def test_keys_of_the_same_cine_are_masked_unless_switched_off() -> None:
    views = fake_views("vtdl")
    losses = {}
    for masked in (True, False):
        method = build("vtdl", mask_same_cine=masked)
        for _ in range(3):
            method(views)
            method.after_step(0)
        losses[masked] = method(views)["loss"].item()
    assert losses[True] < losses[False]


def test_negatives_at_the_anchor_s_time_keep_the_loss_at_ln_2_and_more() -> None:
    """With n = k the positive is at best half of the softmax (methods/vtdl, property 7)."""
    k = torch.nn.functional.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1)
    opposite = -k[:1].expand(4, -1) * 0
    best = info_nce(k, k, 0.07, opposite, extra=k[:, None], normalise=False)
    assert best.item() >= math.log(2)
    assert best.item() == pytest.approx(math.log(2), abs=1e-4)


def test_what_the_negative_has_in_common_with_the_anchor_can_be_bounded() -> None:
    timeline = Timeline.regular(12, 25.0)
    shared = {}
    for most in (1.0, 0.2):
        sampler = build("vtdl", min_distance=1, max_overlap=most).sampler()
        drawn = [sampler.draw(timeline, sample_rng(0, 0, n)) for n in range(100)]
        shared[most] = max(overlap(anchor, negative) for anchor, _, negative in drawn)
    assert shared[0.2] <= 0.2 < shared[1.0]
