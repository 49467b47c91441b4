"""All other samplers: CEP's snippets, CATE's pairs, AV-BERT's segments, evaluation windows, synchronous audio."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from usssl.data.sampling import (
    AnySampler,
    Clip,
    DenseWindows,
    EvenClips,
    IndependentPair,
    RandomClip,
    SegmentFrames,
    Segments,
    Snippets,
    Timeline,
    UniformClip,
    sample_rng,
    synchronous_audio,
)

EVERY = [
    {"name": "random"},
    {"name": "random", "max_stride": 4},
    {"name": "uniform", "span_s": 2.0},
    {"name": "even", "clips": 5},
    {"name": "dense"},
    {"name": "segments"},
    {"name": "intervals", "power": 0.5},
    {"name": "triplet"},
    {"name": "snippets", "frames": 8},
    {"name": "independent", "max_shift_s": 1.0},
    {"name": "av_segments", "segments": 3},
]


@pytest.mark.parametrize("arguments", EVERY, ids=str)
@pytest.mark.parametrize("length", [1, 5, 40, 300])
def test_every_sampler_stays_inside_any_cine(arguments, length):
    sampler = TypeAdapter(AnySampler).validate_python(arguments)
    timeline = Timeline.regular(length, 25.0)
    for sample in range(20):
        for clip in sampler.draw(timeline, sample_rng(0, 0, sample)):
            assert len(clip.frames) == sampler.frames
            assert clip.frames.min() >= 0
            assert clip.frames.max() < length
            if not clip.looped and len(clip.frames) > 1:
                assert (np.diff(clip.frames) > 0).all()
                assert clip.start_s == pytest.approx(clip.frames[0] / 25)
                assert clip.step_s == pytest.approx((clip.frames[-1] - clip.frames[0]) / 25 / (len(clip.frames) - 1))


@pytest.mark.parametrize("arguments", EVERY, ids=str)
def test_every_sampler_repeats_itself_for_the_same_sample(arguments):
    sampler = TypeAdapter(AnySampler).validate_python(arguments)
    timeline = Timeline.regular(300, 25.0)
    first, again = (sampler.draw(timeline, sample_rng(3, 1, 7)) for _ in range(2))
    assert [clip.frames.tolist() for clip in first] == [clip.frames.tolist() for clip in again]


def test_snippets_of_cep():
    """methods/cep, Inputs and property 7: 48 frames at 24 fps; past, present, future in a row; a sorted key of 16."""
    timeline = Timeline.regular(200, 24.0)
    for sample in range(50):
        past, present, future, key = Snippets().draw(timeline, sample_rng(0, 0, sample))
        run = np.concatenate([past.frames, present.frames, future.frames])
        assert run.tolist() == list(range(run[0], run[0] + 48))
        assert len(set(key.frames.tolist())) == 16
        assert sorted(key.frames.tolist()) == key.frames.tolist()
        assert set(key.frames.tolist()) <= set(run.tolist())


def test_snippets_resample_to_24_fps():
    past, *_ = Snippets().draw(Timeline.regular(400, 48.0), sample_rng(0, 0, 0))
    assert set(np.diff(past.frames).tolist()) == {2}


def test_a_short_cine_wraps_around_and_all_snippets_are_flagged():
    clips = Snippets().draw(Timeline.regular(40, 24.0), sample_rng(0, 0, 0))
    assert all(clip.looped for clip in clips)
    run = np.concatenate([clip.frames for clip in clips[:3]])
    assert (np.diff(run) % 40 == 1).all()


def test_snippets_can_leave_a_gap():
    past, present, future, _ = Snippets(gap=4).draw(Timeline.regular(200, 24.0), sample_rng(0, 0, 0))
    assert present.frames[0] - past.frames[-1] == 5
    assert future.frames[0] - present.frames[-1] == 5


def test_independent_starts_are_uniform_and_their_shift_can_be_bounded():
    timeline = Timeline.regular(131, 25.0)  # 16 x 2: starts 0..100
    pairs = [IndependentPair().draw(timeline, sample_rng(0, 0, i)) for i in range(1500)]
    shift = np.array([b.start_s - a.start_s for a, b in pairs])
    assert np.abs(shift).mean() == pytest.approx(4.0 / 3, rel=0.06)  # of two uniform draws over 4 s
    near = [IndependentPair(max_shift_s=0.5).draw(timeline, sample_rng(0, 0, i)) for i in range(300)]
    assert max(abs(b.start_s - a.start_s) for a, b in near) <= 0.5


def test_independent_clips_may_play_at_different_paces():
    sampler = IndependentPair(frames=4, stride=1, max_stride=4)
    pairs = [sampler.draw(Timeline.regular(60, 20.0), sample_rng(0, 0, i)) for i in range(400)]
    strides = np.array([[int(clip.frames[1] - clip.frames[0]) for clip in pair] for pair in pairs])
    assert all((np.diff(clip.frames) == clip.frames[1] - clip.frames[0]).all() for pair in pairs for clip in pair)
    for row in strides.T:
        np.testing.assert_allclose(np.bincount(row, minlength=5)[1:] / 400, 0.25, atol=0.08)
    assert abs(np.corrcoef(strides.T)[0, 1]) < 0.15
    near = IndependentPair(frames=4, stride=1, max_stride=4, max_shift_s=0.5)
    shifts = [
        abs(a.start_s - b.start_s)
        for a, b in (near.draw(Timeline.regular(60, 20.0), sample_rng(1, 0, i)) for i in range(200))
    ]
    assert max(shifts) <= 0.5 + 1e-9


def test_thirty_segments_of_a_second():
    """methods/avbert: 480 frames, 30 s."""
    clips = Segments().draw(Timeline.regular(1000, 30.0), sample_rng(0, 0, 0))
    assert len(clips) == 30
    starts = np.array([clip.start_s for clip in clips])
    assert np.diff(starts) == pytest.approx(np.ones(29), abs=1 / 30)


def test_ten_segments_spread_evenly():
    clips = Segments(segments=10, frames=32, stride=2, spread="even").draw(
        Timeline.regular(300, 30.0), sample_rng(0, 0, 0)
    )
    assert clips[0].frames[0] == 0
    assert clips[-1].frames[-1] == 299
    assert all(set(np.diff(clip.frames).tolist()) == {2} for clip in clips)


def test_segments_of_a_short_cine_overlap():
    clips = Segments(segments=10).draw(Timeline.regular(60, 30.0), sample_rng(0, 0, 0))
    assert len(clips) == 10
    assert not any(clip.looped for clip in clips)


def test_even_clips_begin_and_end_with_the_cine():
    clips = EvenClips(frames=32, stride=1, clips=8).draw(Timeline.regular(100, 25.0), sample_rng(0, 0, 0))
    assert [int(clips[0].frames[0]), int(clips[-1].frames[-1])] == [0, 99]
    middle = EvenClips(frames=10, stride=1, clips=1).draw(Timeline.regular(101, 25.0), sample_rng(0, 0, 0))
    assert middle[0].frames[0] == 45


def test_dense_windows_see_every_frame():
    clips = DenseWindows(frames=8, stride=1, hop=5).draw(Timeline.regular(99, 25.0), sample_rng(0, 0, 0))
    assert set(np.concatenate([clip.frames for clip in clips]).tolist()) == set(range(99))


def test_one_frame_a_segment():
    clip = SegmentFrames(frames=4).draw(Timeline.regular(40, 25.0), sample_rng(0, 0, 5))[0]
    assert (clip.frames // 10).tolist() == [0, 1, 2, 3]


def test_a_span_in_seconds_sets_the_temporal_resolution():
    """methods/av_augment: T frames spanning the same 2 s."""
    timeline = Timeline.regular(400, 50.0)
    for frames in (4, 8, 16, 32):
        clip = UniformClip(frames=frames, span_s=2.0).draw(timeline, sample_rng(0, 0, 0))[0]
        assert timeline.times_s[clip.frames[-1]] - timeline.times_s[clip.frames[0]] == pytest.approx(2.0, abs=0.03)


def test_random_strides_stay_in_their_range():
    clips = [
        RandomClip(stride=1, max_stride=4).draw(Timeline.regular(300, 25.0), sample_rng(0, 0, i))[0] for i in range(99)
    ]
    assert {int(clip.frames[1] - clip.frames[0]) for clip in clips} == {1, 2, 3, 4}


def test_no_clip_reaches_over_a_gap():
    times = np.concatenate([np.arange(40), np.arange(40) + 100]) / 25
    for arguments in (
        {"name": "random"},
        {"name": "intervals"},
        {"name": "triplet", "stride": 1},
        {"name": "independent"},
    ):
        sampler = TypeAdapter(AnySampler).validate_python(arguments)
        for sample in range(100):
            for clip in sampler.draw(Timeline(times), sample_rng(0, 0, sample)):
                assert (clip.frames < 40).all() or (clip.frames >= 40).all()


def test_audio_of_a_clip():
    clip = Clip(np.array([50, 52, 54, 56]), start_s=2.0, step_s=0.08)
    span = synchronous_audio(clip, 16000)
    assert span is not None
    assert (span.start, span.samples) == (32000, 5120)
    wider = synchronous_audio(clip, 16000, seconds=1.0)
    assert wider is not None
    assert (wider.start, wider.samples) == (round((2.16 - 0.5) * 16000), 16000)


def test_audio_before_the_recording_is_silent_and_a_looped_clip_has_none():
    clip = Clip(np.array([0, 1]), start_s=0.0, step_s=0.5)
    span = synchronous_audio(clip, 100, seconds=2.0)
    assert span is not None
    cut = span.read(np.ones((1, 120)))
    assert cut.shape == (1, 200)
    assert cut[0, :50].sum() == 0
    assert cut[0, 50:170].sum() == 120
    assert cut[0, 170:].sum() == 0
    assert synchronous_audio(Clip(np.array([0, 0]), 0.0, np.nan, looped=True), 100) is None


@pytest.mark.parametrize(
    "arguments",
    [{"name": "random", "frames": 0}, {"name": "random", "stride": 0}, {"name": "even", "clip": 3}, {"name": "x"}],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValidationError):
        TypeAdapter(AnySampler).validate_python(arguments)
