"""Measures of collapse on features whose spread is known."""

from __future__ import annotations

import pytest
import torch

from usssl.methods.functional import effective_rank, feature_std, same_group_neighbours


def test_deviation_of_isotropic_of_collapsed_and_of_one_sided_features() -> None:
    torch.manual_seed(0)
    assert feature_std(torch.randn(4096, 32)).item() == pytest.approx(1, abs=0.01)
    assert feature_std(torch.ones(64, 32)).item() == pytest.approx(0, abs=1e-5)
    near = torch.ones(512, 32) + 0.05 * torch.randn(512, 32)
    assert feature_std(near).item() == pytest.approx(0.05, rel=0.1)
    assert feature_std(torch.randn(4096, 512)).item() == pytest.approx(1, abs=0.01), "whatever the dimension"


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_effective_rank_counts_the_dimensions_that_are_used_alike(rank: int) -> None:
    features = torch.zeros(2 * rank, 16)
    features[:rank, :rank] = torch.eye(rank)
    features[rank:, :rank] = -torch.eye(rank)
    assert effective_rank(features).item() == pytest.approx(rank, rel=1e-4)


def test_effective_rank_of_equal_features_is_zero_and_of_unequal_use_between() -> None:
    assert effective_rank(torch.ones(8, 4)).item() == 0
    uneven = torch.tensor([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    # shares 2/3 and 1/3: exp(entropy) = 3 / 2^(2/3)
    assert effective_rank(uneven).item() == pytest.approx(3 / 2 ** (2 / 3), rel=1e-5)


def test_neighbours_of_the_same_group() -> None:
    features = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [-1, -1]])
    assert same_group_neighbours(features, torch.tensor([0, 0, 1, 1, 2])).item() == 1, "a group of one is not asked"
    assert same_group_neighbours(features, torch.tensor([0, 1, 0, 1, 2])).item() == 0
    assert same_group_neighbours(features, torch.arange(5)).isnan()
