"""CVRL's gap law: methods/cvrl, property 1, and what must hold for every law."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from usssl.data.sampling import IntervalPair, Timeline, gap_cdf, gap_of, sample_rng


def probabilities(starts, **law):
    return np.diff(gap_cdf(starts, **law))


def test_law_of_property_1():
    """L = 16, n = 4, s = 2: ten legal starts."""
    assert len(IntervalPair(frames=4, stride=2).windows(Timeline.regular(16, 30.0))) == 10
    law = probabilities(10)
    assert law == pytest.approx([0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05, 0.03, 0.01], abs=1e-12)
    assert law @ np.arange(10) == pytest.approx(2.85)


@pytest.mark.parametrize(("u", "gap"), [(0.25, 1), (0.5, 2), (0.75, 5), (0.9, 6), (0.99, 9)])
def test_gaps_of_property_1(u, gap):
    assert gap_of(u, gap_cdf(10)) == gap


def test_other_powers_of_property_1():
    square, root = gap_cdf(10, power=2), gap_cdf(10, power=0.5)
    assert square[5] == pytest.approx(0.6875)
    assert gap_of(0.5, square) == 3
    assert root[[2, 3]] == pytest.approx([0.4211, 0.5714], abs=5e-5)
    assert gap_of(0.5, root) == 2


def test_a_long_cine_of_property_1():
    """L = 250, n = 16, s = 2."""
    assert len(IntervalPair(frames=16, stride=2).windows(Timeline.regular(250, 30.0))) == 220
    law = probabilities(220)
    assert gap_of(0.5, gap_cdf(220)) == 64
    assert law @ np.arange(220) == pytest.approx(72.834, abs=5e-4)
    assert law[:31].sum() == pytest.approx(0.26196, abs=5e-6)


@pytest.mark.parametrize("starts", [1, 2, 7, 10, 64, 220])
def test_ties_fall_where_exact_arithmetic_puts_them(starts):
    cdf = gap_cdf(starts)
    for k in range(starts):
        exact = Fraction(k * (2 * starts - k), starts**2)
        if Fraction(float(exact)) == exact:  # the tie itself can be drawn
            assert gap_of(float(exact), cdf) == k


@pytest.mark.parametrize("power", [0.25, 0.5, 1, 2, 5])
def test_every_decreasing_law_decreases_and_sums_to_one(power):
    law = probabilities(40, power=power)
    assert law.sum() == pytest.approx(1)
    assert (np.diff(law) < 0).all()


def test_large_powers_tend_to_uniform_and_the_ablations_are_what_they_say():
    assert probabilities(10, power=1e4) == pytest.approx(np.full(10, 0.1), abs=1e-3)
    assert probabilities(10, law="uniform") == pytest.approx(np.full(10, 0.1))
    assert probabilities(10, law="increasing") == pytest.approx(probabilities(10)[::-1])


def test_drawn_pairs_follow_the_law():
    sampler, timeline = IntervalPair(frames=4, stride=2), Timeline.regular(16, 30.0)
    pairs = [sampler.draw(timeline, sample_rng(0, 0, i)) for i in range(4000)]
    gaps = np.array([int(b.frames[0] - a.frames[0]) for a, b in pairs])
    found = np.bincount(np.abs(gaps), minlength=10) / len(gaps)
    assert found == pytest.approx(probabilities(10), abs=0.025)
    assert (gaps > 0).mean() == pytest.approx((gaps < 0).mean(), abs=0.04)  # the coin is fair
    assert max(int(clip.frames[-1]) for pair in pairs for clip in pair) == 15


def test_gaps_in_seconds_do_not_depend_on_the_frame_rate():
    sampler = IntervalPair(frames=4, step_s=0.1, in_seconds=True)
    means = []
    for fps in (20.0, 60.0):
        timeline = Timeline.regular(int(10 * fps), fps)
        pairs = [sampler.draw(timeline, sample_rng(0, 0, i)) for i in range(1500)]
        means.append(np.mean([abs(a.start_s - b.start_s) for a, b in pairs]))
    assert means[0] == pytest.approx(means[1], rel=0.07)
    assert means[0] == pytest.approx((10 - 0.3) / 3, rel=0.07)  # the mean of the linear law is a third of its range


def test_short_cines_are_looped_with_independent_starts():
    pairs = [IntervalPair(frames=16).draw(Timeline.regular(8, 30.0), sample_rng(0, 0, i)) for i in range(50)]
    assert all(clip.looped and len(clip.frames) == 16 and clip.frames.max() < 8 for pair in pairs for clip in pair)
    assert len({int(pair[0].frames[0]) for pair in pairs}) > 4


def test_impossible_laws_are_refused():
    with pytest.raises(ValueError, match="power"):
        IntervalPair(power=0)
    with pytest.raises(ValueError, match="law"):
        IntervalPair(law="steep")
    with pytest.raises(ValueError, match="power"):
        gap_cdf(10, power=float("nan"))
