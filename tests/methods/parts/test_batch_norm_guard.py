"""The guard against what batch normalisation gives away: whose statistics a key shares with its query."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.methods.tiny import build, fake_views
from usssl.methods.parts import batch_norm, in_groups, in_mixed_groups
from usssl.methods.parts.batch_norm import groups_in_words, has_batch_norm, mixed_order, usable_groups

FEWER = "batch statistics in {} groups instead of 4: a batch of {} does not divide into 4 of at least two clips"
OFF = (
    "warning: batch statistics in 1 group instead of {}, so that the guard against what they give away is off: a batch "
    "of {} divides neither into {} of at least two clips nor into fewer; {}"
)


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


@pytest.mark.parametrize(
    ("wanted", "batch", "said"),
    [
        (4, 8, None),
        (1, 7, None),
        (4, 6, FEWER.format(2, "6")),
        (4, 4, FEWER.format(2, "4")),
        (4, 9, FEWER.format(3, "9")),
        (4, 7, OFF.format(4, "7", 4, "make trainer.batch_size 8")),
        (4, 13, OFF.format(4, "13", 4, "make trainer.batch_size 16")),
        (4, 2, OFF.format(4, "2", 4, "make trainer.batch_size 8")),
        (2, 3, OFF.format(2, "3", 2, "make trainer.batch_size 4")),
    ],
)
def test_other_groups_than_asked_for_are_put_into_words(wanted: int, batch: int, said: str | None) -> None:
    assert groups_in_words(wanted, batch) == said


@pytest.mark.parametrize(
    ("ranks", "wanted", "batch", "said"),
    [
        (2, 4, 4, None),
        (2, 4, 3, FEWER.format(2, "6 on 2 ranks")),
        (3, 6, 1, OFF.format(6, "3 on 3 ranks", 6, "make trainer.batch_size 12")),
        (3, 2, 8, OFF.format(2, "24 on 3 ranks", 2, "make method.bn_groups 3, or train on another number of ranks")),
    ],
)
def test_the_batch_of_all_ranks_is_put_into_words(
    ranks: int, wanted: int, batch: int, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_norm, "ranks", lambda: ranks)
    assert groups_in_words(wanted, batch) == said


def companions(encode, base: Tensor) -> Tensor:
    """Bool `(batch, batch)`: whether clip j changes what clip i is encoded to."""
    before = encode(base)
    found = torch.zeros(len(base), len(base), dtype=torch.bool)
    for j in range(len(base)):
        changed = base.clone()
        changed[j] += 5
        found[:, j] = ((encode(changed) - before).abs() > 1e-9).flatten(1).any(dim=1)
    return found


def rows() -> Tensor:
    return torch.randn(16, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("groups", [2, 4])
def test_a_key_shares_no_more_statistics_with_its_query_than_with_others(groups: int) -> None:
    norm = nn.BatchNorm1d(3, track_running_stats=False).double()
    queries = companions(lambda x: in_groups(norm, x, groups), rows())
    keys = companions(lambda x: in_mixed_groups(norm, x, groups), rows())
    assert (queries.sum(dim=1) == 16 // groups).all()
    assert (keys.sum(dim=1) == 16 // groups).all()
    shared = queries.int() @ keys.int().T  # clips whose statistics are in query i and in key j
    assert (shared == 16 // groups**2).all(), "the own key looks like any other"
    unguarded = companions(lambda x: norm(x), rows())
    assert unguarded.all(), "without the guard every clip is in every statistic"


# place: (method, its arguments, view of the queries, view of the others, loss, call of the loss, its argument)
COMPARED: dict[str, tuple[str, dict[str, Any], str, str, str, int, int | str]] = {
    "vtdl, positive": ("vtdl", {}, "anchor", "positive", "info_nce_logits", 0, 1),
    "vtdl, negative": ("vtdl", {}, "anchor", "negative", "info_nce_logits", 0, "extra"),
    "cep, key": ("cep", {}, "snippets", "key", "multi_positive_info_nce", 0, 1),
    "cate, key of the second view": ("cate", {"negatives": "queue"}, "a", "b", "info_nce", 0, 1),
    "cate, key of the first view": ("cate", {"negatives": "queue"}, "b", "a", "info_nce", 1, 1),
}


@pytest.mark.parametrize("place", COMPARED)
def test_what_a_method_compares_shares_one_clip_of_each_group(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen in what the loss is given: positives, keys and negatives, and the queries beside them."""
    name, arguments, query_view, other_view, loss, call, which = COMPARED[place]
    method = build(name, bn_groups=4, **arguments).double()
    views = {key: v.double() if v.is_floating_point() else v for key, v in fake_views(name, batch=16).items()}
    module = importlib.import_module(f"usssl.methods.{name}")
    original, given = getattr(module, loss), []

    def listening(*positional: Any, **named: Any) -> Any:
        given.append(dict(enumerate(positional)) | named)
        return original(*positional, **named)

    monkeypatch.setattr(module, loss, listening)

    def compared(view: str, argument: int | str):
        def of(clips: Tensor) -> Tensor:
            given.clear()
            method(views | {view: clips})
            return given[call][argument]

        return of

    queries = companions(compared(query_view, 0), views[query_view])
    others = companions(compared(other_view, which), views[other_view])
    assert (queries.sum(dim=1) == 4).all()
    assert (others.sum(dim=1) == 4).all()
    assert (queries.int() @ others.int().T == 1).all(), "the own one looks like any other"


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
