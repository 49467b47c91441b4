"""Momentum copies and the queue of keys, with the numbers of methods/cep and methods/vtdl."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from usssl.methods.parts import KeyQueue, Momentum, mlp, momentum_at


@pytest.mark.parametrize(("momentum", "expected"), [(0.99, 1.02), (0.999, 1.002)])
def test_momentum_update_of_the_pages(momentum: float, expected: float) -> None:
    online = nn.Linear(3, 2)
    nn.init.ones_(online.weight)
    target = Momentum(head=online)
    nn.init.constant_(online.weight, 3)
    target.follow(momentum, head=online)
    torch.testing.assert_close(target["head"].weight, torch.full((2, 3), expected))


def test_copies_get_no_gradient_and_share_nothing_with_the_originals() -> None:
    online = mlp([4, 8, 2], nn.BatchNorm1d)
    target = Momentum(head=online)
    x = torch.randn(6, 4, requires_grad=True)
    assert not target("head", x).requires_grad
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert {p.data_ptr() for p in target.parameters()}.isdisjoint(p.data_ptr() for p in online.parameters())
    torch.testing.assert_close(target("head", x), online(x).detach())


def test_statistics_of_batch_normalisation_are_copied() -> None:
    online = mlp([4, 8, 2], nn.BatchNorm1d)
    target = Momentum(head=online)
    online(torch.randn(32, 4) + 5)
    target.follow(0.99, head=online)
    torch.testing.assert_close(target["head"][1].running_mean, online[1].running_mean)
    assert target["head"][1].num_batches_tracked == 1


def test_momentum_follows_a_cosine_where_an_end_is_given() -> None:
    assert momentum_at(0.3, 0.99) == 0.99
    assert momentum_at(0, 0.99, 1) == pytest.approx(0.99)
    assert momentum_at(0.5, 0.99, 1) == pytest.approx(0.995)
    assert momentum_at(1, 0.99, 1) == pytest.approx(1)


def test_a_queue_starts_random_with_squared_length_one_and_of_no_cine() -> None:
    torch.manual_seed(0)
    queue = KeyQueue(2000, 128)
    assert queue.keys.abs().max() <= (3 / 128) ** 0.5
    assert queue.keys.square().sum(dim=1).mean().item() == pytest.approx(1, abs=0.01)
    assert queue.allowed(torch.tensor([0, 7])).all()


@pytest.mark.parametrize(("size", "batch"), [(6, 2), (7, 3), (5, 4), (4, 9)])
def test_the_ring_keeps_the_newest_keys_wherever_it_wraps(size: int, batch: int) -> None:
    queue = KeyQueue(size, 1)
    for step in range(5):
        keys = torch.arange(step * batch, (step + 1) * batch)
        queue.enqueue(keys[:, None].float(), keys)
        assert queue.pointer == (step + 1) * batch % size
        newest = list(range((step + 1) * batch))[-size:]
        held = sorted(queue.cines[queue.cines >= 0].tolist())
        assert held == newest
        written = queue.cines >= 0
        assert torch.equal(queue.keys[written, 0].long(), queue.cines[written])


def test_after_enough_steps_every_row_is_a_key() -> None:
    queue = KeyQueue(10, 2)
    for step in range(-(-10 // 4)):
        assert not (queue.keys == 9).all()
        queue.enqueue(torch.full((4, 2), 9.0), torch.full((4,), step))
    assert (queue.keys == 9).all()


def test_keys_of_the_same_cine_are_not_allowed() -> None:
    queue = KeyQueue(4, 2)
    queue.enqueue(torch.randn(3, 2), torch.tensor([5, 6, 5]))
    assert queue.allowed(torch.tensor([5, 6, 8])).tolist() == [
        [False, True, False, True],
        [True, False, True, True],
        [True, True, True, True],
    ]


def test_queues_and_copies_are_saved_with_the_run() -> None:
    queue, target = KeyQueue(4, 2), Momentum(head=nn.Linear(2, 2))
    queue.enqueue(torch.randn(3, 2), torch.tensor([1, 2, 3]))
    module = nn.ModuleDict({"queue": queue, "target": target})
    other = nn.ModuleDict({"queue": KeyQueue(4, 2), "target": Momentum(head=nn.Linear(2, 2))})
    other.load_state_dict(copy.deepcopy(module.state_dict()))
    for name, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert other["queue"].pointer == 3


def test_a_queue_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        KeyQueue(0, 2)


def test_heads_have_norm_and_relu_after_each_layer_but_the_last() -> None:
    kinds = [type(layer).__name__ for layer in mlp([4, 8, 8, 2], nn.LayerNorm)]
    assert kinds == ["Linear", "LayerNorm", "ReLU", "Linear", "LayerNorm", "ReLU", "Linear"]
    assert [type(layer).__name__ for layer in mlp([4, 2])] == ["Linear"]
