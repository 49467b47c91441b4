"""Frames, pixels and times of the timeline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari_usssl.clock import ASSUMED_FPS, PlayClock
from napari_usssl.time_axis import TimeAxis, envelope

ZOOMS = st.lists(st.tuples(st.floats(0.3, 4), st.floats(0, 1)), max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames=st.integers(1, 5000), width=st.floats(50, 3000), zooms=ZOOMS, at=st.floats(0, 1))
def test_a_click_on_a_frame_finds_that_frame(
    frames: int, width: float, zooms: list[tuple[float, float]], at: float
) -> None:
    axis = TimeAxis.whole(frames, 40, width)
    for factor, pointer in zooms:
        axis = axis.zoomed(factor, 40 + pointer * width)
        assert 0 <= axis.start < axis.stop <= frames + 1e-6
    view = axis.visible()
    frame = view[int(at * (len(view) - 1))]
    middle = axis.x(frame)
    if 40 <= middle < 40 + width:
        assert axis.frame(middle) == frame


def test_past_the_ends_are_the_last_frames() -> None:
    axis = TimeAxis.whole(10, 100, 200)
    assert (axis.frame(0), axis.frame(99), axis.frame(301), axis.frame(5000)) == (0, 0, 9, 9)
    assert (axis.x(0), axis.x(9)) == (110, 290)  # the middles of frames of 20 pixels


def test_zoom_keeps_what_is_under_the_pointer() -> None:
    axis = TimeAxis.whole(1000, 0, 500)
    near = axis.zoomed(8, 200)
    assert near.stop - near.start == pytest.approx(125)
    assert near.start + 200 / near.pixels_a_frame == pytest.approx(400)
    assert near.zoomed(1 / 100, 50) == axis


def test_the_view_follows_the_cursor_by_as_little_as_needed() -> None:
    axis = TimeAxis.whole(1000, 0, 500).zoomed(10, 0)
    assert axis.revealing(50) == axis
    assert axis.revealing(300).visible() == range(201, 301)
    assert axis.revealing(300).revealing(150).visible() == range(150, 250)


def test_ticks_stand_at_round_seconds() -> None:
    times = np.arange(101) / 25
    ticks = TimeAxis.whole(101, 0, 500).ticks(times)
    assert [text for _, text in ticks] == ["0 s", "1 s", "2 s", "3 s", "4 s"]
    axis = TimeAxis.whole(101, 0, 500)
    assert ticks[2][0] == pytest.approx(axis.x(50))


def test_ticks_of_uneven_times_stand_where_the_frames_are() -> None:
    times = np.array([0.0, 0.1, 0.2, 2.0, 4.0])
    axis = TimeAxis.whole(5, 0, 400)
    assert {text: x for x, text in axis.ticks(times)}["2 s"] == pytest.approx(axis.x(3))


def test_ticks_without_a_clock_count_frames() -> None:
    times = np.r_[0.0, np.full(99, np.nan)]
    assert [text for _, text in TimeAxis.whole(100, 0, 400).ticks(times)] == ["0", "20", "40", "60", "80"]


def test_a_one_frame_peak_of_a_long_cine_is_seen() -> None:
    values = np.zeros(20_000, np.float32)
    values[12_345] = 0.9
    axis = TimeAxis.whole(20_000, 0, 300)
    curve = envelope(values, axis)
    assert len(curve) <= 301
    assert curve[:, 1].max() == pytest.approx(0.9)
    assert abs(curve[curve[:, 1].argmax(), 0] - axis.x(12_345)) <= 1


def test_few_frames_have_a_point_each() -> None:
    values = np.array([0.1, 0.5, 0.2], np.float32)
    np.testing.assert_allclose(
        envelope(values, TimeAxis.whole(3, 0, 300)), [[50, 0.1], [150, 0.5], [250, 0.2]], rtol=1e-6
    )


def test_playing_shows_each_frame_when_it_is_due() -> None:
    clock = PlayClock.of(np.array([0.0, 0.1, 0.3, 0.4]))
    assert clock.loop == pytest.approx(0.5)
    assert [clock.frame_after(0, t) for t in (0.0, 0.05, 0.11, 0.29, 0.31, 0.45, 0.5, 0.61)] == [0, 0, 1, 1, 2, 3, 0, 1]
    assert clock.frame_after(2, 0.11) == 3
    assert not clock.is_assumed


@pytest.mark.parametrize("times", [[0.0, np.nan, np.nan], [0.0, 0.0, 0.0], [0.0, 0.2, 0.1], [0.0]])
def test_a_cine_without_a_clock_plays_at_an_assumed_rate(times: list[float]) -> None:
    clock = PlayClock.of(times)
    assert clock.is_assumed
    assert clock.loop == pytest.approx(len(times) / ASSUMED_FPS)
