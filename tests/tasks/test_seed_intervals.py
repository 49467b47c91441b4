"""Intervals against SciPy, by hand, and by how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from usssl.tasks import intervals


def test_mean_interval_by_hand_and_by_scipy():
    found = intervals.mean_interval([1.0, 2.0, 3.0])
    # t(2 degrees of freedom, 97.5 %) = 4.302653; s = 1
    assert (found.mean, found.count) == (2.0, 3)
    assert found.high - found.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    values = np.random.default_rng(0).normal(size=7)
    found = intervals.mean_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.9, 6, values.mean(), stats.sem(values)))


def test_one_seed_has_no_interval():
    found = intervals.mean_interval([0.4])
    assert found.mean == 0.4
    assert np.isnan(found.low)
    assert not found.excludes_zero
    assert "no interval" in str(found)


def test_pairing_removes_what_both_arms_share():
    luck = np.array([0.0, 0.3, -0.2, 0.1])
    a, b = 0.75 + luck + [0.0, 0.01, 0.0, -0.01], 0.70 + luck
    paired = intervals.paired_interval(a, b)
    assert paired.mean == pytest.approx(0.05)
    assert paired.excludes_zero
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (paired.low, paired.high) == pytest.approx((expected.low, expected.high))
    assert intervals.mean_interval(a).low < intervals.mean_interval(b).high


def test_bootstrap_resamples_whole_patients():
    # all frames of a patient are alike: the interval must be as wide as five values make it, not five thousand
    rng = np.random.default_rng(1)
    level = rng.normal(size=5)
    patients, values = np.repeat(list("abcde"), 1000), np.repeat(level, 1000)
    found = intervals.bootstrap_interval(lambda rows: values[rows].mean(), patients)
    alone = intervals.bootstrap_interval(lambda rows: values[rows].mean(), range(5000), resamples=200)
    assert found.count == 5
    assert found.mean == pytest.approx(level.mean())
    spread = 2 * 1.96 * level.std() / np.sqrt(5)
    assert found.high - found.low == pytest.approx(spread, rel=0.15)
    assert found.high - found.low > 10 * (alone.high - alone.low)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for seed in range(100):
        values = np.repeat(rng.normal(size=30), 4) + 0.1 * rng.normal(size=120)
        found = intervals.bootstrap_interval(
            lambda rows, v=values: v[rows].mean(), np.repeat(np.arange(30), 4), resamples=200, seed=seed
        )
        hits += found.low <= 0 <= found.high
    assert 86 <= hits <= 100


def test_bootstrap_depends_on_its_seed_alone():
    values = np.random.default_rng(5).normal(size=40)

    def once(seed):
        return intervals.bootstrap_interval(lambda rows: values[rows].mean(), range(40), resamples=100, seed=seed)

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_bootstrap_leaves_out_draws_without_a_figure():
    values, patients = np.array([1.0, 2.0, np.nan, 4.0]), ["p", "q", "r", "s"]

    def mean_of_rest(rows):
        kept = values[rows][~np.isnan(values[rows])]
        return kept.mean() if len(kept) > 1 else float("nan")

    found = intervals.bootstrap_interval(mean_of_rest, patients)
    assert 1.0 <= found.low <= found.mean <= found.high <= 4.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intervals.mean_interval([]), "finite numbers"),
        (lambda: intervals.mean_interval([1.0, np.nan]), "finite numbers"),
        (lambda: intervals.mean_interval([1.0, 2.0], 95), "between 0 and 1"),
        (lambda: intervals.paired_interval([1.0, 2.0], [1.0]), "same seeds"),
        (lambda: intervals.bootstrap_interval(lambda rows: 1.0, []), "at least one row"),
        (lambda: intervals.bootstrap_interval(lambda rows: float("nan"), ["a", "b"]), "NaN on all rows"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
