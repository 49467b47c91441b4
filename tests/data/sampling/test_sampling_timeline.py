"""Timelines: strides, seconds, gaps, variable frame rates, short cines."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.data.sampling import Timeline


def test_strided_windows_end_with_the_last_frame():
    windows = Timeline.regular(16, 30.0).windows(4, stride=2)
    assert windows.tolist() == [[s, s + 2, s + 4, s + 6] for s in range(10)]


def test_no_window_reaches_over_a_gap():
    times = np.concatenate([np.arange(10), np.arange(10) + 30]) / 30
    windows = Timeline(times).windows(4, stride=2)
    crossing = (windows[:, 0] < 10) & (windows[:, -1] >= 10)
    assert not crossing.any()
    assert windows[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_seconds_follow_a_variable_frame_rate():
    """Half at 10 Hz, half at 20 Hz: a step of 0.1 s is one frame first, then two."""
    times = np.concatenate([np.arange(5) * 0.1, 0.5 + np.arange(11) * 0.05])
    windows = Timeline(times).windows(3, step_s=0.1)
    assert windows[0].tolist() == [0, 1, 2]
    assert windows[5].tolist() == [5, 7, 9]
    assert windows[4].tolist() == [4, 5, 7]


def test_a_step_shorter_than_the_frame_interval_takes_each_frame_once():
    assert Timeline.regular(8, 10.0).windows(3, step_s=0.01)[0].tolist() == [0, 1, 2]


def test_a_short_cine_has_no_window_but_a_flagged_loop():
    timeline = Timeline.regular(5, 10.0)
    assert len(timeline.windows(4, stride=2)) == 0
    clip = timeline.looped_clip(3, 4, stride=2)
    assert clip.frames.tolist() == [3, 0, 2, 4]
    assert clip.looped
    assert np.isnan(clip.step_s)


def test_a_single_frame_is_a_clip():
    assert Timeline.regular(1, 30.0).windows(1, stride=1).tolist() == [[0]]
    assert Timeline.regular(1, 30.0).windows(1, step_s=0.1).tolist() == [[0]]


@pytest.mark.parametrize("times", [[], [0.0, np.nan], [0.0, 1.0, 1.0], [1.0, 0.5]])
def test_impossible_times_are_refused(times):
    with pytest.raises(ValueError, match="frame"):
        Timeline(np.array(times))
