"""order_transform's sequential variant: one feature of both clips, split in two."""

from __future__ import annotations

import pytest
import torch

from usssl import methods
from usssl.arguments import ClipArguments
from usssl.methods import Clips
from usssl.methods.order_transform import OrderTransform
from usssl.models import encoders


def build(**arguments: object) -> OrderTransform:
    torch.manual_seed(0)
    method = methods.build(
        "order_transform",
        encoder=encoders.build("sononet16", width=0.25),
        clip=ClipArguments(size=(56, 72)),
        **{"variant": "sequential", "hidden": 32, **arguments},
    )
    assert isinstance(method, OrderTransform)
    return method


def clips(batch: int = 6) -> Clips:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(20, 255, (batch, 1, 4, 1, 84, 108), generator=generator, dtype=torch.uint8)
    return Clips(frames, torch.ones(batch, 84, 108, dtype=torch.bool), torch.arange(batch))


def test_losses_are_those_of_the_parallel_variant_at_chance() -> None:
    found = build().eval()
    with torch.no_grad():
        losses = found(found.views(clips(), seed=0))
    assert set(losses) == {"loss", "order_loss", "transform_loss", "order_accuracy"}
    assert losses["order_loss"].item() == pytest.approx(2.4849, abs=0.3)
    torch.testing.assert_close(losses["loss"], losses["order_loss"] + losses["transform_loss"])


def test_each_loss_reaches_its_own_part_of_the_feature() -> None:
    for loss, reached, untouched in (
        ("order_loss", "order", "transform"),
        ("transform_loss", "transform", "order"),
    ):
        method = build()
        method(method.views(clips(), seed=0))[loss].backward()
        head = method.disentangle
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in getattr(head, reached).parameters())
        assert all(p.grad is None for p in getattr(head, untouched).parameters())
        rows = head.of_both.weight.grad.abs().sum(dim=1)
        transform, order = rows.chunk(2)
        assert (rows > 0).any()
        assert (transform if reached == "order" else order).sum() == 0, "the parts of the feature are apart"
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.encoder.parameters())


def test_the_order_is_told_from_the_transformed_copy_and_the_transformation_from_both() -> None:
    method = build(dropout=0).eval()
    views = {name: v.requires_grad_() if v.is_floating_point() else v for name, v in method.views(clips(), 0).items()}
    method(views)["transform_loss"].backward()
    assert views["clip"].grad.abs().sum() > 0
    assert views["transformed"].grad.abs().sum() > 0


def test_it_learns_the_transformation_and_the_order_of_a_few_clips() -> None:
    method = build(dropout=0, orders=12)
    views = method.views(clips(4), seed=0)
    optimizer = torch.optim.AdamW(method.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        found = method(views)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        losses.append({name: value.item() for name, value in found.items()})
    assert losses[-1]["order_loss"] < 0.6 * losses[0]["order_loss"]
    assert losses[-1]["transform_loss"] < 0.6 * losses[0]["transform_loss"]
