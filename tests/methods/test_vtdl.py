"""VTDL as a whole: what its loss reaches, its ablations, and what negatives cannot give away."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.tiny import build, fake_views
from usssl.data.sampling import Timeline, overlap, sample_rng
from usssl.methods import Clips
from usssl.methods.functional import info_nce
from usssl.methods.vtdl import shared_frames


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
    """A negative of nothing but the anchor's frames is left out, of the margin loss too."""
    method = build("vtdl", bn_groups=1, margin_weight=0.5).double()
    views = {name: value.double() if value.is_floating_point() else value for name, value in fake_views("vtdl").items()}
    assert views["negative_overlap"].tolist()[-1] == 1
    assert (views["negative_overlap"][:-1] < 1).all()
    q, k, n = method.embed(views["anchor"]), method.embed_key(views["positive"]), method.embed(views["negative"])
    with_it = info_nce(q[:-1], k[:-1], 0.07, method.queue.keys, extra=n[:-1, None], normalise=False, reduction="sum")
    without = info_nce(q[-1:], k[-1:], 0.07, method.queue.keys, normalise=False, reduction="sum")
    margins = (1 + (q - k).norm(dim=1) - (q - n).norm(dim=1)).relu()
    expected = (with_it + without + 0.5 * margins[:-1].sum()) / 8
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


@pytest.mark.parametrize(("negative", "overlap"), [("positive", 0.0), ("positive", 1.0), ("negative", 0.0)])
def test_negatives_at_the_anchor_s_time_keep_the_loss_at_ln_2_and_more(negative: str, overlap: float) -> None:
    """With n = k the positive is at best half of the softmax (methods/vtdl, property 7), unless it is left out."""
    method, views = build("vtdl", momentum=0.0), fake_views("vtdl")
    views |= {"negative": views[negative], "negative_overlap": torch.full((8,), overlap)}
    optimizer = torch.optim.AdamW(method.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        losses.append(method(views)["loss"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        method.after_step(0.0)
    impossible = negative == "positive" and overlap < 1
    assert (min(losses).item() >= math.log(2) - 1e-4) == impossible, losses


def test_frames_that_anchor_and_negative_share_are_counted() -> None:
    frames = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    anchor = frames[None, :4].expand(4, -1, -1, -1, -1)
    negative = torch.stack([frames[[0, 1, 2, 3]], frames[[2, 3, 0, 1]], frames[[3, 4, 5, 6]], frames[[5, 6, 7, 8]]])
    assert shared_frames(anchor, negative).tolist() == [1.0, 1.0, 0.25, 0.0]
    negative = negative.clone()
    negative[0, 1, 0, 3, 5] += 1  # a frame apart by one pixel is another frame
    assert shared_frames(anchor, negative).tolist() == [0.75, 1.0, 0.25, 0.0]


def test_negatives_of_cines_too_short_for_another_time_are_logged_and_left_out() -> None:
    """4 frames of cines of 4 offer one clip, of 5 one a frame away; of 3 they are looped, without a shift."""
    lengths, sampler = (4, 5, 12, 3), build("vtdl", min_distance=4).sampler()
    method = build("vtdl", min_distance=4)
    generator = torch.Generator().manual_seed(0)
    drawn = [sampler.draw(Timeline.regular(length, 4.0), sample_rng(0, 0, 0)) for length in lengths]
    cines = [torch.randint(0, 256, (length, 1, 40, 40), dtype=torch.uint8, generator=generator) for length in lengths]
    clips = Clips(
        frames=torch.stack(
            [torch.stack([cine[c.frames] for c in one]) for cine, one in zip(cines, drawn, strict=True)]
        ),
        sector=torch.ones(4, 40, 40, dtype=torch.bool),
        samples=torch.arange(4),
        times_s=torch.tensor([[(c.frames / 4.0).tolist() for c in one] for one in drawn], dtype=torch.float64),
        looped=torch.tensor([[c.looped for c in one] for one in drawn]),
    )
    views = method.views(clips, seed=0)
    assert views["negative_overlap"].tolist() == [1.0, 0.75, 0.0, 1.0]
    assert views["negative_shift_s"][:2].tolist() == [0.0, 0.25]
    assert views["negative_shift_s"][2] >= 1
    assert views["negative_shift_s"][3].isnan()
    found = method(views)
    assert found["negative_overlap"].item() == pytest.approx(2.75 / 4)
    assert found["negative_shift_s"].item() == pytest.approx(views["negative_shift_s"][:3].mean().item())
    method.queue.cines.zero_()
    only = {name: value[[0, 3]] for name, value in views.items()} | {"cine": torch.zeros(2).long()}
    assert method(only)["loss"] == 0, "where no negative is left, the positive is all of the softmax"


def test_what_the_negative_has_in_common_with_the_anchor_can_be_bounded() -> None:
    timeline = Timeline.regular(12, 25.0)
    shared = {}
    for most in (1.0, 0.2):
        sampler = build("vtdl", min_distance=1, max_overlap=most).sampler()
        drawn = [sampler.draw(timeline, sample_rng(0, 0, n)) for n in range(100)]
        shared[most] = max(overlap(anchor, negative) for anchor, _, negative in drawn)
    assert shared[0.2] <= 0.2 < shared[1.0]
