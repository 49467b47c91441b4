"""order_transform's sampler: steps in seconds, frozen clips rejected, motion balanced."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.data.sampling import OrderClips, Timeline, clip_motion, sample_rng


def noisy_cine(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, 12, 16), dtype=np.uint8)


def test_eight_frames_apart_at_30_hz():
    windows = OrderClips().windows(Timeline.regular(60, 30.0))
    assert windows[0].tolist() == [0, 8, 16, 24]
    assert windows[-1].tolist() == [35, 43, 51, 59]


def test_clips_of_several_strides():
    windows = OrderClips(stride=6, more_strides=(18,)).windows(Timeline.regular(56, 30.0))
    assert windows[:, 1].tolist() == [*range(6, 44), 18, 19], "38 clips of 19 frames, then two of 55"
    assert windows[-1].tolist() == [1, 19, 37, 55]
    draws = OrderClips(stride=6, more_strides=(18,)).prepare(Timeline.regular(56, 30.0), noisy_cine(56))
    assert draws is not None
    drawn = [draws(sample_rng(0, 0, i))[0].frames for i in range(300)]
    assert {int(frames[1] - frames[0]) for frames in drawn} == {6, 18}
    short = OrderClips(stride=6, more_strides=(18,)).windows(Timeline.regular(20, 30.0))
    assert short[:, 1].tolist() == [6, 7], "too short for the long stride"


def test_the_same_seconds_at_another_frame_rate():
    assert OrderClips(step_s=8 / 30).windows(Timeline.regular(60, 15.0))[0].tolist() == [0, 4, 8, 12]


def test_motion_is_that_of_the_stillest_pair():
    cine = np.zeros((5, 4, 4), dtype=np.uint8)
    cine[1:], cine[2:], cine[4:] = 10, 13, 200
    windows = np.array([[0, 1, 2], [2, 3, 4]])
    assert clip_motion(cine, windows).tolist() == [3.0, 0.0]


def test_a_frozen_stretch_is_never_drawn():
    cine = noisy_cine(120)
    cine[60:] = cine[60]
    draws = OrderClips(min_motion=2.0).prepare(Timeline.regular(120, 30.0), cine)
    assert draws is not None
    drawn = {int(draws(sample_rng(0, 0, i))[0].frames[0]) for i in range(1000)}
    assert drawn == set(range(44)), "of a later start only the last frame is in the moving part"


def test_slow_clips_do_not_drown_fast_ones():
    motion = np.full(1000, 2.0)
    motion[:10] = 200.0
    assert OrderClips(bins=2).weights(motion)[:10].sum() == pytest.approx(0.5)
    cine = np.zeros((1001, 4, 4), dtype=np.uint8)
    cine[1::2] = 2
    cine[1:10:2] = 200
    draws = OrderClips(frames=2, stride=1, bins=2).prepare(Timeline.regular(1001, 30.0), cine)
    assert draws is not None
    fast = np.mean([draws(sample_rng(1, 0, i))[0].frames[0] < 10 for i in range(2000)])
    assert fast == pytest.approx(0.5, abs=0.05)


def test_a_cine_too_short_or_too_still_offers_none():
    assert OrderClips().prepare(Timeline.regular(24, 30.0), noisy_cine(24)) is None
    assert OrderClips().prepare(Timeline.regular(60, 30.0), np.zeros((60, 8, 8), np.uint8)) is None
    draws = OrderClips().prepare(Timeline.regular(25, 30.0), noisy_cine(25))
    assert draws is not None
    (clip,) = draws(sample_rng(0, 0, 0))
    assert clip.frames.tolist() == [0, 8, 16, 24]
    assert clip.step_s == pytest.approx(8 / 30)


def test_a_law_in_seconds_says_nothing_of_a_cine_whose_times_are_not_known():
    unknown = Timeline.of(np.array([0.0, *[np.nan] * 59]))
    assert not unknown.known
    assert OrderClips(step_s=0.2).prepare(unknown, noisy_cine(60)) is None
    draws = OrderClips().prepare(unknown, noisy_cine(60))
    assert draws is not None
    assert np.isnan(unknown.taken_s(draws(sample_rng(0, 0, 0))[0])).all()


def test_a_sample_draws_the_same_in_any_company():
    alone = sample_rng(7, 3, 42).random(4)
    sample_rng(7, 3, 41).random(100)
    assert sample_rng(7, 3, 42).random(4).tolist() == alone.tolist()
    assert sample_rng(7, 4, 42).random(4).tolist() != alone.tolist()
