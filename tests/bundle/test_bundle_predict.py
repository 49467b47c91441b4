"""A bundle over one cine: the outputs, worked out in NumPy, whatever the cine's length and the size of a call."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import make_tiny_bundle, softmax, tiny_image, tiny_window
from usssl.bundle import Bundle, Prediction, PredictionStoppedError, open_bundle, stream
from usssl.bundle.stream import pieces, spread
from usssl.errors import CineError, UsageError

ALL = ("planes", "saliency", "retrieval", "recognition")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(make_tiny_bundle(tmp_path_factory.mktemp("b") / "tiny", ALL), device="cpu", threads=1)


def cine_of(frames: int, seed: int = 0) -> np.ndarray:
    """Noise in a box on black; every frame lights the same box."""
    rng = np.random.default_rng(seed)
    cine = np.zeros((frames, 48, 64), np.uint8)
    level = np.linspace(60, 255, frames)[:, None, None]
    cine[:, 9:40, 11:60] = rng.integers(30, 60, (frames, 31, 49)) + (level - 60) * rng.random((frames, 31, 49))
    return cine


def expected_probs(image: np.ndarray) -> np.ndarray:
    mean = image.mean(axis=(1, 2))
    return softmax(np.stack([np.ones_like(mean), 8 * (0.5 - mean), 8 * (mean - 0.5)], axis=1))


@pytest.mark.parametrize(("frames", "batch"), [(1, 32), (7, 3), (70, 32), (33, 1)])
def test_outputs_are_the_models(bundle: Bundle, frames: int, batch: int) -> None:
    cine = cine_of(frames)
    p = bundle.predict(cine, batch_frames=batch)
    image = tiny_image(cine)
    np.testing.assert_allclose(p.plane_probs, expected_probs(image), atol=1e-5)
    np.testing.assert_allclose(p.saliency, softmax(8 * image.reshape(frames, -1)).reshape(image.shape), atol=1e-5)
    np.testing.assert_allclose(p.embedding[:, 1], image.max(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(p.cine_probs, expected_probs(image).mean(axis=0), atol=1e-5)
    assert p.window == tiny_window(cine) == (11, 9, 60, 40)
    assert len(p) == frames
    assert np.isnan(p.times).all()


def test_the_window_is_one_for_the_whole_cine(bundle: Bundle) -> None:
    """Each call alone would crop to what it sees; the content of the first half is smaller than of the second."""
    cine = np.zeros((64, 48, 64), np.uint8)
    cine[:32, 20:30, 20:30] = 200
    cine[32:, 4:44, 8:56] = 200
    p = bundle.predict(cine, batch_frames=8)
    assert p.window == (8, 4, 56, 44)
    np.testing.assert_allclose(p.plane_probs, expected_probs(tiny_image(cine)), atol=1e-5)


def test_a_graph_without_fixed_window_still_runs(tmp_path: Path) -> None:
    bundle = open_bundle(make_tiny_bundle(tmp_path / "b", takes_window=False), device="cpu", threads=1)
    assert not bundle.session.takes_window
    cine = cine_of(10)
    np.testing.assert_allclose(bundle.predict(cine).plane_probs, expected_probs(tiny_image(cine)), atol=1e-5)


def test_rgb_becomes_luma(bundle: Bundle) -> None:
    rng = np.random.default_rng(3)
    rgb = rng.integers(40, 256, (5, 48, 64, 3), dtype=np.uint8)
    luma = np.rint(rgb @ [0.299, 0.587, 0.114]).astype(np.uint8)  # ITU-R BT.601, rounded
    # OpenCV rounds in fixed point: a grey value may differ by one.
    np.testing.assert_allclose(bundle.predict(rgb).plane_probs, bundle.predict(luma).plane_probs, atol=0.01)
    grey = np.repeat(luma[..., None], 3, axis=-1)
    np.testing.assert_array_equal(bundle.predict(grey).plane_probs, bundle.predict(luma).plane_probs)


def test_only_what_is_asked_for(bundle: Bundle) -> None:
    p = bundle.predict(cine_of(4), outputs=["plane_probs"])
    assert p.saliency is None
    assert p.embedding is None
    assert p.cine_probs is None
    with pytest.raises(UsageError, match="gives no heartbeat"):
        bundle.predict(cine_of(4), outputs=["heartbeat"])


def test_progress_and_stop(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    bundle.predict(cine_of(20), batch_frames=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 20), (16, 20), (20, 20)]
    seen.clear()
    with pytest.raises(PredictionStoppedError):
        bundle.predict(
            cine_of(20),
            batch_frames=8,
            progress=lambda done, total: seen.append((done, total)),
            should_stop=lambda: len(seen) == 1,
        )
    assert seen == [(8, 20)]


@pytest.mark.parametrize(
    "cine",
    [
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((3, 8, 8), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
    ],
)
def test_what_is_no_cine(bundle: Bundle, cine: np.ndarray) -> None:
    with pytest.raises(UsageError, match="cine"):
        bundle.predict(cine)


class LongCine:
    """A cine of many frames that exist only while they are read."""

    def __init__(self, frames: int, give: int | None = None) -> None:
        self.shape = (frames, 480, 640)
        self.dtype = np.dtype(np.uint8)
        self.times = np.arange(frames) / 25
        self.reads: list[tuple[int, int]] = []
        self._give = frames if give is None else give

    def __getitem__(self, key: slice) -> np.ndarray:
        start, stop, _ = key.indices(self.shape[0])
        self.reads.append((start, stop))
        frames = np.empty((max(0, min(stop, self._give) - start), 480, 640), np.uint8)
        frames[:] = (np.arange(start, start + len(frames)) % 200 + 30)[:, None, None]
        return frames


def test_memory_does_not_grow_with_length(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(frames: int) -> int:
        tracemalloc.start()
        bundle.predict(LongCine(frames), outputs=["plane_probs"], batch_frames=4)
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    monkeypatch.setattr(stream, "HELD_BYTES", 1 << 20)
    assert peak(600) < 1.2 * peak(100)
    assert peak(600) < 600 * 480 * 640 / 10


def test_each_frame_is_decoded_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELD_BYTES", 1 << 20)
    cine = LongCine(50)
    p = bundle.predict(cine, outputs=["plane_probs"], batch_frames=16)
    assert cine.reads[-4:] == [(0, 16), (16, 32), (32, 48), (48, 50)]
    assert len(cine.reads) == 4 + 32  # the frames that show the window
    np.testing.assert_array_equal(p.times, cine.times)


def test_a_cine_that_ends_early(bundle: Bundle) -> None:
    with pytest.raises(CineError, match="frames 30 to 49 are missing"):
        bundle.predict(LongCine(50, give=30), batch_frames=16)


def test_long_results_spill_to_disk(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    cine = cine_of(20)
    in_memory = bundle.predict(cine).saliency
    monkeypatch.setattr(stream, "SPILL_BYTES", 100)
    spilled = bundle.predict(cine).saliency
    assert isinstance(spilled, np.memmap)
    np.testing.assert_array_equal(spilled, in_memory)


@pytest.mark.parametrize(
    ("frames", "clip", "stride"), [(1, 4, 1), (3, 4, 2), (16, 4, 1), (40, 4, 8), (23, 5, 3), (9, 2, 1)]
)
def test_clips_cover_every_frame(frames: int, clip: int, stride: int) -> None:
    plan = pieces(frames, clip, stride, at_once=8)
    clips = np.concatenate(plan)
    assert set(clips.ravel()) == set(range(frames))
    starts = clips[:, 0]
    assert (np.diff(starts) > 0).all()
    steps = np.diff(clips, axis=1)
    padded = clips[:, 1:] == frames - 1
    assert ((steps == stride) | padded).all()
    if frames > clip * stride:
        inner = np.bincount(clips.ravel(), minlength=frames)[stride * clip : -stride * clip]
        assert (inner >= 2).all()


def test_frame_models_get_whole_calls() -> None:
    assert [piece.tolist() for piece in pieces(5, 1, 1, at_once=2)] == [[[0, 1]], [[2, 3]], [[4]]]


@pytest.mark.parametrize(("frames", "clip", "stride"), [(50, 4, 1), (50, 6, 3), (3, 4, 2), (2, 4, 8)])
def test_clip_models_average_their_overlap(tmp_path: Path, frames: int, clip: int, stride: int) -> None:
    """The tiny model treats each frame by itself, so the mean over overlapping clips is the frame's own output."""
    folder = make_tiny_bundle(tmp_path / "b", ALL, clip_frames=clip, clip_stride=stride)
    cine = cine_of(frames)
    p = open_bundle(folder, device="cpu", threads=1).predict(cine, batch_frames=8)
    np.testing.assert_allclose(p.plane_probs, expected_probs(tiny_image(cine)), atol=1e-5)


def test_best_frames_and_entropy() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.0, 0.2, 0.8]], np.float32)
    p = Prediction(np.arange(3.0), ("background", "femur", "abdomen"), (0, 0, 1, 1), plane_probs=probs)
    assert p.best_frames() == {"femur": (1, pytest.approx(0.5)), "abdomen": (2, pytest.approx(0.8))}
    by_hand = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(p.entropy[0], by_hand, atol=1e-6)
    uniform = Prediction(np.zeros(1), ("a", "b"), (0, 0, 1, 1), plane_probs=np.full((1, 2), 0.5, np.float32))
    np.testing.assert_allclose(uniform.entropy, np.log(2), atol=1e-6)
    empty = Prediction(np.zeros(1), (), (0, 0, 1, 1))
    assert empty.best_frames() == {}
    assert empty.entropy is None


def test_frames_spread_over_the_cine() -> None:
    assert spread(3, 16) == [0, 1, 2]
    assert spread(101, 5) == [0, 25, 50, 75, 100]
    assert spread(1, 16) == [0]
