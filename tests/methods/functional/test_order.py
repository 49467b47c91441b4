"""The losses of order_transform against the numbers worked out by hand on its method page."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from usssl.methods.functional import order_classes, order_label, order_loss, transform_loss


def test_the_class_table_of_four_frames() -> None:
    table = ["".join(map(str, p)) for p in order_classes(4)]
    assert table == ["0123", "0132", "0213", "0231", "0312", "0321", "1023", "1032", "1203", "1302", "2013", "2103"]
    assert order_label((1, 3, 0, 2)) == order_label((2, 0, 3, 1)) == 9
    assert order_label((3, 2, 1, 0)) == 0


@pytest.mark.parametrize("frames", [2, 3, 4, 5])
def test_each_class_is_an_order_and_its_reverse(frames: int) -> None:
    labels = [order_label(p) for p in permutations(range(frames))]
    counts = torch.bincount(torch.tensor(labels))
    assert len(counts) == math.factorial(frames) // 2
    assert (counts == 2).all()
    assert all(order_label(p) == order_label(p[::-1]) for p in permutations(range(frames)))


def test_the_classes_of_many_frames_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert order_label((0, 1, 2, 3, 4, 5, 7, 6)) == 1
    monkeypatch.setattr("usssl.methods.functional.order.permutations", None)
    assert order_label((6, 7, 5, 4, 3, 2, 1, 0)) == 1


def test_order_loss_of_uniform_and_of_confident_scores() -> None:
    assert order_loss(torch.zeros(5, 12), torch.arange(5)).item() == pytest.approx(2.484906650, abs=1e-6)
    logits = torch.zeros(1, 12, dtype=torch.float64)
    logits[0, 9] = 2
    assert order_loss(logits, torch.tensor([9])).item() == pytest.approx(0.911755710, abs=1e-6)
    others = [order_loss(logits, torch.tensor([label])).item() for label in range(12) if label != 9]
    assert others == pytest.approx([2.911755710] * 11, abs=1e-6)


def test_gradient_of_the_order_loss() -> None:
    logits = torch.zeros(1, 12)
    logits[0, 9] = 2
    logits.requires_grad_()
    order_loss(logits, torch.tensor([9])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 9].item() == pytest.approx(-0.598181872, abs=1e-6)
    others = [value for label, value in enumerate(logits.grad[0].tolist()) if label != 9]
    assert others == pytest.approx([0.054380170] * 11, abs=1e-6)


def test_transform_loss_and_its_sum_with_the_order_loss() -> None:
    target = torch.tensor([[0.866025, 0.5, 0, 0, 0.333333, 0.333333]])
    found = torch.tensor([[0.8, 0.6, 0.1, -0.1, 0.2, 0.3]])
    transform = transform_loss(found, target).item()
    assert transform == pytest.approx(0.008874707, abs=1e-6)
    logits = torch.zeros(1, 12)
    logits[0, 9] = 2
    assert order_loss(logits, torch.tensor([9])).item() + transform == pytest.approx(0.920630418, abs=1e-6)


def test_losses_are_finite_and_close_in_bf16() -> None:
    logits = torch.randn(64, 12, generator=torch.Generator().manual_seed(0)) * 30
    labels = torch.arange(64) % 12
    assert order_loss(logits.bfloat16(), labels).item() == pytest.approx(order_loss(logits, labels).item(), rel=0.02)
