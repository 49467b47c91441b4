"""VTDL's triplets: methods/vtdl, property 6, without the faults of the published code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.data.sampling import Timeline, Triplet, overlap, sample_rng


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 16), st.integers(1, 6), st.integers(0, 1000))
def test_property_6(length, frames, stride, sample):
    sampler = Triplet(frames=frames, stride=stride)
    timeline = Timeline.regular(length, 25.0)
    anchor, positive, negative = sampler.draw(timeline, sample_rng(0, 0, sample))
    assert np.array_equal(anchor.frames, positive.frames)
    for clip in (anchor, negative):
        assert clip.frames.min() >= 0
        assert clip.frames.max() < length
    windows = sampler.windows(timeline)
    if not len(windows):
        assert anchor.looped
        assert negative.looped
        return
    apart = abs(int(negative.frames[0] - anchor.frames[0]))
    farthest = max(anchor.frames[0] - windows[0, 0], windows[-1, 0] - anchor.frames[0])
    assert apart >= min(sampler.distance(windows), farthest)


def test_the_default_distance_is_a_quarter_of_the_span():
    windows = Triplet(frames=16, stride=4).windows(Timeline.regular(200, 25.0))
    assert Triplet(frames=16, stride=4).distance(windows) == 61 // 4
    assert Triplet(frames=2, stride=1).distance(np.array([[0, 1]])) == 2


def test_starts_use_the_true_range_and_the_negative_is_not_a_function_of_the_anchor():
    """The published code starts every cine of up to 128 frames at 1 and its negative at 1 + F // 3."""
    timeline = Timeline.regular(120, 25.0)
    drawn = [Triplet().draw(timeline, sample_rng(0, 0, i)) for i in range(400)]
    anchors = np.array([a.frames[0] for a, _, _ in drawn])
    assert anchors.min() == 0
    assert anchors.max() == 120 - 61
    negatives = {int(n.frames[0]) for a, _, n in drawn if a.frames[0] == anchors[0]}
    assert len(negatives) > 1


def test_overlap_can_be_limited():
    sampler = Triplet(frames=16, stride=4, min_distance=2, max_overlap=0.5)
    timeline = Timeline.regular(300, 25.0)
    for i in range(200):
        anchor, _, negative = sampler.draw(timeline, sample_rng(0, 0, i))
        assert overlap(anchor, negative) <= 0.5


def test_the_same_phase_of_a_cycle_is_avoided():
    sampler = Triplet(frames=8, stride=1, cycle_s=0.8)
    timeline = Timeline.regular(500, 50.0)
    for i in range(200):
        anchor, _, negative = sampler.draw(timeline, sample_rng(0, 0, i))
        phase = abs(negative.start_s - anchor.start_s) / 0.8 % 1.0
        assert min(phase, 1 - phase) > 0.1


def test_distance_in_seconds_holds_at_any_frame_rate():
    for fps in (12.5, 50.0):
        sampler = Triplet(frames=8, step_s=0.08, min_distance_s=1.0)
        anchor, _, negative = sampler.draw(Timeline.regular(int(8 * fps), fps), sample_rng(0, 0, 3))
        assert abs(negative.start_s - anchor.start_s) >= 1.0


def test_both_measures_of_the_stride_are_refused():
    with pytest.raises(ValueError, match="stride and step_s"):
        Triplet(stride=2, step_s=0.1)
