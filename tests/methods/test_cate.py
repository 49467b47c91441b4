"""CATE as a whole: no leak through encodings, its ablations, and what gets gradient (methods/cate, section 10)."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.tiny import build, fake_views
from usssl.arguments import ClipArguments
from usssl.augment import Encoding, ViewAugmentation
from usssl.methods import Clips, Method
from usssl.methods.cate import CATEArguments


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


def written_out(method: Method, views: dict[str, torch.Tensor], *, keys_learn: bool, queue: bool) -> torch.Tensor:
    """The loss of methods/cate, section 5: queries are told, keys are not, the mean of both directions."""
    h_a, h_b = method.pooled(torch.cat([views["a"], views["b"]])).chunk(2)
    told = {
        side: {kind: Encoding.of(views[f"query_{side}/{kind}"]) for kind in ("time", "crop")} for side in ("a", "b")
    }
    q_a, q_b = method.head(h_a, told["a"]), method.head(h_b, told["b"])
    k_a, k_b = method.head(h_a, {}), method.head(h_b, {})
    if not keys_learn:
        k_a, k_b = k_a.detach(), k_b.detach()
    losses = []
    for q, k in ((q_a, k_b), (q_b, k_a)):
        others = method.queue.keys if queue else k
        logits = q @ others.T / 0.1
        own = (q * k).sum(dim=1) / 0.1
        total = torch.cat([logits, own[:, None]], dim=1) if queue else logits
        losses.append((total.logsumexp(dim=1) - own).mean())
    return sum(losses) / 2


@pytest.mark.parametrize("negatives", ["batch", "queue"])
def test_the_loss_and_its_gradient_are_those_of_the_equation(negatives: str) -> None:
    """Both sides learn with negatives of the batch, queries alone with a queue (methods/cate, property 7)."""
    queue = negatives == "queue"
    method = build("cate", negatives=negatives, bn_groups=1).eval().double()
    views = {name: v.double() if v.is_floating_point() else v for name, v in fake_views("cate").items()}
    wanted = {name: v.requires_grad_() for name, v in views.items() if name in ("a", "b") or "/" in name}
    found = method(views)["loss"]
    gradients = torch.autograd.grad(found, list(wanted.values()))
    for keys_learn in (True, False):
        loss = written_out(method, views, keys_learn=keys_learn, queue=queue)
        torch.testing.assert_close(found, loss)
        same = [
            torch.allclose(x, y, rtol=1e-6, atol=1e-12)
            for x, y in zip(gradients, torch.autograd.grad(loss, list(wanted.values())), strict=True)
        ]
        assert all(same) == (keys_learn != queue)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    if queue:
        assert all(not parameter.requires_grad for parameter in method.target.parameters())


def windows(cines: int = 8) -> torch.Tensor:
    """Where the stored frames of each cine lie in its original ones."""
    low = torch.rand(cines, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2
    return torch.cat([low, low + 0.3 + low.flip(1) / 3], dim=1)


def clips_within(window: torch.Tensor) -> Clips:
    rows = len(window)
    frames = torch.zeros(rows, 2, 4, 1, 36, 36, dtype=torch.uint8)
    return Clips(frames, torch.ones(rows, 36, 36, dtype=torch.bool), torch.arange(rows), window=window)


def test_absolute_encodings_cannot_find_the_pair_however_long_the_head_trains() -> None:
    """Told where the stored frames lie in the original ones, which is each cine's own, it came to 0.6."""
    steps = 40
    method = build("cate", encodings={"kinds": ["crop"], "mode": "absolute"}, head="mlp", width=64)
    method.encoder = Constant(12)
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)
    views = method.views(clips_within(windows().repeat(steps, 1)), seed=0)
    losses = []
    for step in range(steps):
        loss = method({name: value[8 * step : 8 * step + 8] for name, value in views.items()})["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) / 20 > math.log(8) - 0.03


def test_keys_are_told_what_is_drawn_alike_for_all_cines() -> None:
    """In absolute mode: the crop within the stored frames, and no crop where it follows the sector."""
    method = build("cate", encodings={"kinds": ["crop", "flip"], "mode": "absolute"})
    here, whole = (method.views(clips_within(w), seed=0) for w in (windows(), torch.tensor([[0.0, 0, 1, 1]] * 8)))
    assert {name for name in here if name.startswith("key_a")} == {"key_a/crop", "key_a/flip"}
    for name in here:
        torch.testing.assert_close(here[name], whole[name], equal_nan=True)
    for op in ({"name": "resized_crop", "size": (32, 32), "within": "sector"}, {"name": "depth_change"}):
        resize = {"name": "resize", "size": (32, 32)}
        method.augment = (ViewAugmentation(ops=[op, resize]),) * 2
        views = method.views(clips_within(windows()), seed=0)
        assert {name for name in views if name.startswith("key_b")} == {"key_b/flip"}


def test_the_mlp_head_has_no_attention_heads_to_share_its_width_out() -> None:
    CATEArguments(head="mlp", width=7, heads=4).check(ClipArguments())
    with pytest.raises(ValueError, match=r"method.width: 7 should be a multiple of method.heads, 4"):
        CATEArguments(width=7, heads=4).check(ClipArguments())


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
