"""The windows of a clip model: every frame of any cine gets exactly one row, from clips that training drew alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from usssl.bundle.stream import Joined, pieces
from usssl.cine.clip_windows import clip_windows, real_places, windows_with

lengths, clips, strides = st.integers(1, 200), st.integers(2, 20), st.integers(1, 9)


@given(lengths, clips, strides)
def test_windows_are_clips_of_the_cine_and_show_every_frame(frames: int, clip: int, stride: int) -> None:
    windows = clip_windows(frames, clip, stride)
    assert windows.shape[1] == clip
    assert set(windows.ravel()) == set(range(frames))
    steps, filled = np.diff(windows, axis=1), windows[:, 1:] == frames - 1
    assert ((steps == stride) | filled).all()
    long_enough = frames > (clip - 1) * stride + stride - 1  # a clip fits at every phase of the stride
    assert not long_enough or (steps == stride).all()
    assert len({tuple(window) for window in windows}) == len(windows)


@given(lengths, clips, strides, st.integers(1, 64))
def test_every_frame_gets_one_row_whatever_the_calls(frames: int, clip: int, stride: int, at_once: int) -> None:
    """A model that gives the number of the frame at each place, and another one that gives its clip's first frame."""
    numbers, starts = Joined(frames, overlap=True), Joined(frames, overlap=True)
    plan = pieces(frames, clip, stride, at_once)
    for piece in plan:
        numbers.add(piece, piece[..., None].astype(np.float32))
        starts.add(piece, np.repeat(piece[:, :1, None], clip, axis=1).astype(np.float32))
    np.testing.assert_array_equal(numbers.result()[:, 0], np.arange(frames))
    shown: dict[int, list[int]] = {}
    for window in np.concatenate(plan):
        for frame in dict.fromkeys(window.tolist()):
            shown.setdefault(frame, []).append(int(window[0]))
    expected = [np.mean(shown[frame]) for frame in range(frames)]
    np.testing.assert_allclose(starts.result()[:, 0], expected, rtol=1e-5)


@given(lengths, clips, strides, st.integers(0, 199))
def test_a_frame_is_trained_at_the_places_of_prediction(frames: int, clip: int, stride: int, number: int) -> None:
    frame = number % frames
    possible = windows_with(frame, frames, clip, stride)
    assert (possible == frame).any(axis=1).all()
    assert (possible.max(axis=1) <= frames - 1).all()
    known = {tuple(window) for window in possible}
    for window in clip_windows(frames, clip, stride):
        on_step = window[0] % stride == frame % stride  # else the frame stands there only to fill a short cine
        if on_step and frame in window:
            assert tuple(window) in known


def test_by_hand() -> None:
    assert clip_windows(7, 4, 1).tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]
    assert clip_windows(8, 2, 3).tolist() == [[0, 3], [1, 4], [2, 5], [3, 6], [4, 7]]
    assert clip_windows(2, 4, 8).tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert windows_with(2, 7, 4, 1).tolist() == [[2, 3, 4, 5], [1, 2, 3, 4], [0, 1, 2, 3]]
    assert windows_with(6, 7, 4, 1).tolist() == [[3, 4, 5, 6]]
    assert windows_with(1, 2, 4, 8).tolist() == [[1, 1, 1, 1]]
    assert real_places(np.array([0, 1, 1, 1])).tolist() == [True, True, False, False]
