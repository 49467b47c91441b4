"""Gathering, batch normalisation, keys and queues: two ranks do what one does with the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.methods.ranks import on_ranks, on_two_ranks
from usssl.methods.functional import nt_xent
from usssl.methods.parts import CrossRankBatchNorm, KeyQueue, gather, in_groups, in_mixed_groups, synchronise_batch_norm
from usssl.methods.parts.batch_norm import usable_groups
from usssl.methods.parts.gather import own, rank, ranks

CLIPS, DIM = 8, 5


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 2), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6)).double()


def batch() -> torch.Tensor:
    return torch.randn(2, CLIPS, 1, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def averaged(module: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients as DistributedDataParallel leaves them: the mean over ranks."""
    found = {}
    for name, parameter in module.named_parameters():
        gradient = gather(parameter.grad[None].detach()).mean(dim=0)
        found[name] = gradient
    return found


def contrast() -> dict[str, torch.Tensor]:
    """NT-Xent of the rows of all ranks behind a batch norm over all ranks."""
    net = synchronise_batch_norm(network())
    first, second = (own(view) for view in batch())
    z1, z2 = net(torch.cat([first, second])).chunk(2)
    loss = nt_xent(gather(z1), gather(z2), 0.2)
    loss.backward()
    statistics = {name: value.clone() for name, value in net.named_buffers()}
    return {"loss": loss.detach(), **averaged(net), **statistics}


def keys(wanted: int = 4) -> dict[str, torch.Tensor]:
    """Queries and keys in groups, their gradient, and the queue that they fill."""
    net, groups = synchronise_batch_norm(network()), usable_groups(wanted, CLIPS // ranks())
    queries = in_groups(net, own(batch()[0]), groups)
    found = in_mixed_groups(net, own(batch()[1]), groups)
    (queries * found).square().mean().backward()
    gradients = averaged(net)
    found = found.detach()
    torch.manual_seed(3)
    queue = KeyQueue(11, 6).double()
    for step in range(3):
        queue.enqueue(found + step, torch.arange(CLIPS).unflatten(0, (ranks(), -1))[rank()])
    return {
        "groups": torch.tensor(groups),
        "queries": gather(queries.detach()),
        "keys": gather(found),
        "queue": queue.keys,
        "cines": queue.cines,
        "pointer": queue.pointer,
        **gradients,
    }


def uneven() -> torch.Tensor:
    """The gradient of a different loss on each rank."""
    rows = torch.full((2, 3), float(rank() + 1), requires_grad=True)
    weight = torch.arange(4.0)[:, None] * (rank() + 1)
    (gather(rows) * weight).sum().backward()
    assert rows.grad is not None
    return rows.grad


def everything() -> tuple[object, ...]:
    return contrast(), keys(), uneven()


@pytest.fixture(scope="module")
def both():
    return on_two_ranks(everything)


@pytest.mark.parametrize("which", [0, 1])
def test_two_ranks_find_what_one_finds(both, which: int) -> None:
    alone = (contrast, keys)[which]()
    for found in both:
        assert found[which].keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(found[which][name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_a_group_may_be_the_clips_of_two_ranks_of_four() -> None:
    alone = keys(2)
    assert alone["groups"] == 2
    for found in on_ranks(4, keys, 2):
        for name, value in alone.items():
            torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_gradient_of_gathered_rows_adds_up_what_all_ranks_send(both) -> None:
    # rank 0's rows have weights 0 and 1 on rank 0, and twice that on rank 1; rank 1's have 2 and 3, and twice that
    assert both[0][2].tolist() == [[0.0] * 3, [3.0] * 3]
    assert both[1][2].tolist() == [[6.0] * 3, [9.0] * 3]


def test_one_rank_normalises_as_pytorch_does() -> None:
    plain, ours = nn.BatchNorm2d(3), CrossRankBatchNorm(3)
    x = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(ours(x), plain(x))
    torch.testing.assert_close(ours.running_var, plain.running_var)
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x))


def test_synchronising_keeps_weights_names_and_mode() -> None:
    net = network().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    after = synchronise_batch_norm(net)
    assert list(after.state_dict()) == list(before)
    assert all(torch.equal(after.state_dict()[name], value) for name, value in before.items())
    assert isinstance(after[1], CrossRankBatchNorm)
    assert not after[1].training
    assert isinstance(synchronise_batch_norm(nn.BatchNorm3d(2)), CrossRankBatchNorm)
