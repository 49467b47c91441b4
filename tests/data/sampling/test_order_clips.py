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


def test_the_same_seconds_at_another_frame_rate():
    assert OrderClips().windows(Timeline.regular(60, 15.0))[0].tolist() == [0, 4, 8, 12]


def test_motion_is_that_of_the_stillest_pair():
    cine = np.zeros((5, 4, 4), dtype=np.uint8)
    cine[1:], cine[2:], cine[4:] = 10, 13, 200
    windows = np.array([[0, 1, 2], [2, 3, 4]])
    assert clip_motion(cine, windows).tolist() == [3.0, 0.0]


def test_a_frozen_stretch_is_never_drawn():
    cine = noisy_cine(120)
    cine[60:] = cine[60]
    timeline = Timeline.regular(120, 30.0)
    clips = OrderClips(min_motion=2.0)
    index = clips.index([timeline], [clip_motion(cine, clips.windows(timeline))])
    drawn = [index.draw(sample_rng(0, 0, i))[1] for i in range(300)]
    assert max(int(clip.frames[-2]) for clip in drawn) < 60
    assert index.rejected.tolist() == [
        len(clips.windows(timeline)) - 44
    ]  # of starts 0..43 only the last frame is in it


def test_a_frozen_data_set_is_refused_with_a_sentence():
    timeline, clips = Timeline.regular(60, 30.0), OrderClips()
    still = np.zeros(len(clips.windows(timeline)))
    with pytest.raises(ValueError, match="min_motion"):
        clips.index([timeline], [still])


def test_slow_clips_do_not_drown_fast_ones():
    timeline, clips = Timeline.regular(1024, 30.0), OrderClips(bins=2)
    motion = np.full(1000, 2.0)
    motion[:10] = 200.0
    index = clips.index([timeline], [motion])
    assert index.weight[:10].sum() == pytest.approx(0.5)
    fast = np.mean([index.draw(sample_rng(1, 0, i))[1].frames[0] < 10 for i in range(2000)])
    assert fast == pytest.approx(0.5, abs=0.05)


def test_a_cine_too_short_or_too_still_yields_none():
    clips = OrderClips()
    timelines = [Timeline.regular(10, 30.0), Timeline.regular(25, 30.0)]
    index = clips.index(timelines, [np.empty(0), np.array([5.0])])
    assert index.draw_from(0, sample_rng(0, 0, 0)) is None
    clip = index.draw_from(1, sample_rng(0, 0, 0))
    assert clip is not None
    assert clip.frames.tolist() == [0, 8, 16, 24]
    assert clip.step_s == pytest.approx(8 / 30)


def test_a_sample_draws_the_same_in_any_company():
    alone = sample_rng(7, 3, 42).random(4)
    sample_rng(7, 3, 41).random(100)
    assert sample_rng(7, 3, 42).random(4).tolist() == alone.tolist()
    assert sample_rng(7, 4, 42).random(4).tolist() != alone.tolist()
