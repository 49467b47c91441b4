"""The guard against what batch normalisation gives away: whose statistics a key shares with its query."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from usssl.methods.parts import batch_norm, in_groups, in_mixed_groups
from usssl.methods.parts.batch_norm import has_batch_norm, mixed_order, usable_groups


@pytest.mark.parametrize(
    ("wanted", "batch", "groups"), [(4, 16, 4), (8, 16, 8), (8, 8, 4), (3, 16, 2), (4, 7, 1), (1, 16, 1), (4, 2, 1)]
)
def test_groups_divide_the_batch_and_hold_two_clips_at_least(wanted: int, batch: int, groups: int) -> None:
    assert usable_groups(wanted, batch) == groups


@pytest.mark.parametrize("wanted", [2, 4, 8])
@pytest.mark.parametrize("whole", range(4, 65, 2))
def test_two_ranks_find_the_groups_that_one_finds(wanted: int, whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = usable_groups(wanted, whole)
    monkeypatch.setattr(batch_norm, "ranks", lambda: 2)
    assert usable_groups(wanted, whole // 2) == alone


def companions(encode, batch: int) -> torch.Tensor:
    """Bool `(batch, batch)`: whether clip j changes what clip i is encoded to."""
    base = torch.randn(batch, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = encode(base)
    found = torch.zeros(batch, batch, dtype=torch.bool)
    for j in range(batch):
        changed = base.clone()
        changed[j] += 5
        found[:, j] = ((encode(changed) - before).abs() > 1e-9).any(dim=1)
    return found


@pytest.mark.parametrize("groups", [2, 4])
def test_a_key_shares_no_more_statistics_with_its_query_than_with_others(groups: int) -> None:
    norm = nn.BatchNorm1d(3, track_running_stats=False).double()
    queries = companions(lambda x: in_groups(norm, x, groups), 16)
    keys = companions(lambda x: in_mixed_groups(norm, x, groups), 16)
    assert (queries.sum(dim=1) == 16 // groups).all()
    assert (keys.sum(dim=1) == 16 // groups).all()
    shared = queries.int() @ keys.int().T  # clips whose statistics are in query i and in key j
    assert (shared == 16 // groups**2).all(), "the own key looks like any other"
    unguarded = companions(lambda x: norm(x), 16)
    assert unguarded.all(), "without the guard every clip is in every statistic"


def test_a_classifier_of_statistics_finds_the_pair_without_the_guard_and_not_with_it() -> None:
    """What the leak gives away: with the groups kept, queries and keys of a group share their mean."""
    torch.manual_seed(0)
    clips = torch.randn(16, 1, dtype=torch.float64) * 3
    mean_of_group = lambda x: x.mean(dim=0, keepdim=True).expand_as(x)  # noqa: E731
    query = in_groups(mean_of_group, clips, 4)
    leaking = in_groups(mean_of_group, clips, 4)
    guarded = in_mixed_groups(mean_of_group, clips, 4)
    own = lambda key: ((query - key.T).abs() < 1e-9).double()  # noqa: E731
    assert own(leaking).diagonal().all()
    assert own(leaking).mean() == 0.25, "three quarters of the negatives are told apart by statistics alone"
    assert own(guarded).sum() == 0


def test_keys_come_back_in_their_order() -> None:
    keys = torch.arange(24.0).reshape(12, 2)
    assert torch.equal(in_mixed_groups(lambda x: x, keys, 3), keys)
    assert sorted(mixed_order(12, 3).tolist()) == list(range(12))
    keys.requires_grad_()
    in_mixed_groups(lambda x: x * 2, keys, 3).sum().backward()
    assert (keys.grad == 2).all()


def test_batch_norms_are_found() -> None:
    assert has_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2))))
    assert not has_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
