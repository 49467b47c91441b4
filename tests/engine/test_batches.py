"""Batches of clips: the same whatever the batch, with the facts of their cines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from usssl.cine import write_video
from usssl.data import index_folders, open_store, prepare
from usssl.data.sampling import IndependentPair, OrderClips, Sampler, Snippets, Timeline
from usssl.data.store import Store
from usssl.engine.batches import ClipBatches, loops
from usssl.errors import UsageError

CINES = 7


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Seven cines of 40 frames (one of 6), at 20 and 25 frames a second, each frame known by its grey level."""
    folder = tmp_path_factory.mktemp("cines")
    for number in range(CINES):
        frames = np.zeros((6 if number == 6 else 40, 96, 128), dtype=np.uint8)
        frames[:, 8:88, 8:120] = 30 + 4 * np.arange(len(frames), dtype=np.uint8)[:, None, None]
        frames[:, 40:56, 50 + number : 80] = 255
        write_video(folder / f"{number}.mp4", frames, fps=25 if number % 2 else 20)
    index_folders([folder], folder / "catalog.parquet")
    prepare(folder / "catalog.parquet", folder / "store", size=(48, 64))
    return open_store(folder / "store")


def batches(store: Store, sampler=None, batch_size=4, seed=0) -> ClipBatches:
    return ClipBatches(store, range(CINES), sampler or IndependentPair(frames=5, stride=2), batch_size, seed)


def test_clips_come_with_the_facts_of_their_cines(store):
    clips = batches(store)[3]
    assert clips.frames.shape == (4, 2, 5, 1, 48, 64)
    assert clips.samples.tolist() == [12, 13, 14, 15]
    for row, cine in enumerate(clips.cines.tolist()):
        fps = store.table["fps"][cine].as_py()
        for view in range(2):
            frames = (clips.times_s[row, view] * fps).round().long().numpy()
            np.testing.assert_array_equal(clips.frames[row, view, :, 0].numpy(), store.read(cine, frames))
            if not clips.looped[row, view]:
                assert np.diff(frames).tolist() == [2] * 4
        x0, y0, x1, y1 = store.window(cine)
        np.testing.assert_allclose(clips.window[row].numpy(), [x0 / 128, y0 / 96, x1 / 128, y1 / 96])


def test_a_short_cine_is_looped_and_flagged(store):
    drawn = batches(store).clips(range(70))
    short = drawn.cines == int(np.argmin(store.frame_counts))
    assert short.sum() == 10
    assert drawn.looped[short].all()
    assert not drawn.looped[~short].any()


@pytest.mark.parametrize(
    "sampler", [IndependentPair(frames=5, stride=2), Snippets(frames=4, stride=1), OrderClips(stride=3)]
)
def test_a_sample_is_the_same_in_any_batch_on_any_rank_and_worker(store, sampler):
    whole = batches(store, sampler, batch_size=12)[1]
    split = [batches(store, sampler, batch_size=4)[step] for step in (3, 4, 5)]
    loaded = list(batches(store, sampler, batch_size=4).loader(3, 6, workers=2))
    ranks = [batches(store, sampler).clips(range(12 + rank, 24, 2)) for rank in range(2)]
    for name in ("frames", "cines", "times_s", "looped", "samples", "window"):
        expected = getattr(whole, name)
        for parts in (split, loaded):
            assert torch.equal(
                torch.cat([getattr(part, name) for part in parts]).nan_to_num(-1), expected.nan_to_num(-1)
            )
        for rank, part in enumerate(ranks):
            assert torch.equal(getattr(part, name).nan_to_num(-1), expected[rank::2].nan_to_num(-1))
    assert not torch.equal(batches(store, sampler, 12, seed=1)[1].frames, whole.frames)


def test_cines_are_drawn_without_favour_and_not_soon_again(store):
    some = batches(store)
    drawn = [some.cine_of(sample) for sample in range(70)]
    for turn in range(10):
        assert sorted(drawn[7 * turn : 7 * turn + 7]) == list(range(7))
    assert all(len(set(drawn[start : start + 3])) == 3 for start in range(68)), "a third of 7 cines, and one"
    assert len({tuple(drawn[7 * turn : 7 * turn + 7]) for turn in range(10)}) > 5
    assert [some.cine_of(sample) for sample in (69, 3, 40)] == [drawn[69], drawn[3], drawn[40]]


def test_cines_that_offer_no_clip_are_left_out_and_counted(store):
    assert batches(store, OrderClips(stride=3)).skipped == 1, "the short one"
    with pytest.raises(UsageError, match=r"none of the 7 cines offers a clip of 4 frames .* lower data\.clip\.step"):
        batches(store, OrderClips(stride=30))


def test_one_cine_is_not_called_none_of_one(store):
    with pytest.raises(UsageError, match=r"^the only cine offers no clip of 4 frames .* lower data\.clip\.step"):
        ClipBatches(store, [0], OrderClips(stride=30), 4, 0)


@pytest.mark.parametrize(
    ("sampler", "frames"),
    [
        (IndependentPair(frames=5, stride=2), 9),
        (IndependentPair(frames=5, stride=2, max_stride=9), 37),
        (IndependentPair(frames=5, step_s=0.2), 17),
        (Snippets(frames=4, stride=1, gap=2), 16),
        (OrderClips(frames=4, stride=3), 10),
        (IndependentPair(frames=1, stride=2), 1),
    ],
)
def test_clips_loop_in_cines_shorter_than_the_longest_of_them(sampler: Sampler, frames: int) -> None:
    assert not loops(sampler, Timeline.regular(frames, 20.0))
    if frames > 1:
        assert loops(sampler, Timeline.regular(frames - 1, 20.0))


def test_millimetres_are_those_of_the_stored_pixels(store, monkeypatch):
    table = store.table
    place = table.column_names.index("spacing_mm")
    spacing = [[0.5, 0.25]] * CINES
    monkeypatch.setattr(store, "table", table.set_column(place, "spacing_mm", [spacing]), raising=False)
    clips = batches(store).clips([0])
    x0, y0, x1, y1 = store.window(int(clips.cines[0]))
    assert clips.spacing_mm[0].tolist() == pytest.approx([0.5 * (y1 - y0) / 48, 0.25 * (x1 - x0) / 64])
