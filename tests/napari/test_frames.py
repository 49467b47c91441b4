"""The lazy array of a cine: the right frames in any order, in bounded memory, read ahead in a thread that ends."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from napari_usssl.frames import CineFrames
from napari_usssl.read_ahead import BLOCK, ReadAhead

from usssl.cine import open_cine
from usssl.errors import CineError


class CountedCine:
    """A cine whose frames tell their number, and which keeps a record of its reads."""

    source = Path("counted")

    def __init__(self, frames: int = 200, damaged: Sequence[int] = (), gate: threading.Event | None = None) -> None:
        self.shape = (frames, 4, 6)
        self.damaged = set(damaged)
        self.gate = gate
        self.reads: list[list[int]] = []
        self.closed = False

    def __len__(self) -> int:
        return self.shape[0]

    def __copy__(self) -> CountedCine:
        return CountedCine(len(self), tuple(self.damaged), self.gate)

    def read(self, numbers: Sequence[int]) -> np.ndarray:
        if self.gate is not None:
            self.gate.wait(60)
        self.reads.append(list(numbers))
        if bad := self.damaged.intersection(numbers):
            raise CineError(self.source, f"frame {min(bad)} is damaged")
        return np.stack([np.full((4, 6), n % 256, np.uint8) for n in numbers])

    def close(self) -> None:
        self.closed = True


def wait(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def read_ahead_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.fixture(autouse=True)
def _ends_its_threads() -> object:
    yield
    gc.collect()
    wait(lambda: not read_ahead_threads())


def test_frames_in_any_order_are_those_of_the_cine(video: Path) -> None:
    with open_cine(video) as cine:
        truth = np.asarray(cine)
    frames = CineFrames(open_cine(video))
    for number in np.random.default_rng(0).integers(-len(truth), len(truth), 80):
        np.testing.assert_array_equal(frames[int(number)], truth[number])
    frames.close()


@pytest.mark.parametrize(
    "key",
    [
        3,
        slice(4, 20, 3),
        slice(None, None, -7),
        [5, 1, 5],
        (2, slice(3, 9)),
        (slice(0, 40), 7),
        (slice(0, 0), 1),
        (..., 0),
        (),
    ],
)
def test_indexing_is_numpys(video: Path, key: object) -> None:
    with open_cine(video) as cine:
        truth = np.asarray(cine)
    frames = CineFrames(open_cine(video))
    np.testing.assert_array_equal(frames[key], truth[key])
    assert frames[key].dtype == np.uint8
    frames.close()


def test_it_looks_like_an_array(video: Path) -> None:
    frames = CineFrames(open_cine(video))
    assert (frames.shape, frames.ndim, len(frames), frames.size) == ((60, 48, 64, 3), 4, 60, 60 * 48 * 64 * 3)
    with pytest.raises(IndexError):
        frames[60]
    np.testing.assert_array_equal(np.asarray(frames, dtype=np.float32)[7], frames[7])
    with pytest.raises(ValueError, match="read-only"):
        frames[7][0, 0] = 1
    frames.close()


def test_a_cine_that_fits_is_read_through_once() -> None:
    now, later = CountedCine(), CountedCine()
    ahead = ReadAhead(now, later, capacity=200)
    ahead.frame(0)
    wait(lambda: len(ahead) == 200)
    wait(lambda: later.closed)
    numbers = [n for read in now.reads + later.reads for n in read]
    assert sorted(numbers) == list(range(200))
    for n in (199, 3, 120):
        assert ahead.frame(n)[0, 0] == n
    assert len(now.reads) == 1


def test_a_jump_does_not_take_the_thread_out_of_its_place() -> None:
    gate = threading.Event()
    now, later = CountedCine(), CountedCine(gate=gate)
    ahead = ReadAhead(now, later, capacity=200)
    ahead.frame(0)
    ahead.frame(150)
    gate.set()
    wait(lambda: len(ahead) == 200)
    assert [read[0] for read in later.reads[:4]] == [1, 17, 33, 49]
    ahead.close()


def test_stepping_calls_the_thread_to_the_place() -> None:
    gate = threading.Event()
    now, later = CountedCine(), CountedCine(gate=gate)
    ahead = ReadAhead(now, later, capacity=200)
    for n in (0, 150, 151):
        ahead.frame(n)
    gate.set()
    wait(lambda: len(ahead) == 200)
    # The thread may have begun before the jump.
    assert 152 in [read[0] for read in later.reads[:2]]
    ahead.close()


def test_stepping_back_reads_blocks() -> None:
    gate = threading.Event()
    now = CountedCine()
    ahead = ReadAhead(now, CountedCine(gate=gate), capacity=200)
    for n in range(190, 100, -1):
        assert ahead.frame(n)[0, 0] == n
    assert len(now.reads) <= 2 + 90 // BLOCK
    gate.set()
    ahead.close()


def test_a_long_cine_stays_within_its_memory_while_it_plays() -> None:
    now, later = CountedCine(3000), CountedCine(3000)
    ahead = ReadAhead(now, later, capacity=64)
    most = 0
    for n in range(600):
        assert ahead.frame(n)[0, 0] == n % 256
        most = max(most, len(ahead))
        time.sleep(0.0005)
    assert most <= 64
    # The thread kept up: nearly every frame was there before it was asked for.
    assert len(now.reads) < 60
    wait(lambda: all(n in ahead._frames for n in range(599, 599 + 30)))
    ahead.frame(2500)
    wait(lambda: all(n in ahead._frames for n in range(2500, 2530)))
    ahead.close()
    assert later.closed


def test_open_cines_share_the_memory() -> None:
    one_frame = 4 * 6
    first = CineFrames(CountedCine(1000), memory=400 * one_frame)
    first.frame(0)
    wait(lambda: first.cached > 250)
    second = CineFrames(CountedCine(1000), memory=400 * one_frame)
    assert first.cached <= 200
    second.close()
    first.close()
    assert (first.cached, second.cached) == (0, 0)


def test_a_damaged_frame_is_black_and_its_neighbours_are_not() -> None:
    cine = CountedCine(100, damaged=[40, 41])
    frames = CineFrames(cine)
    frames.frame(0)
    wait(lambda: frames.cached == 98)
    assert [int(frames[n].max()) for n in (39, 40, 41, 42)] == [39, 0, 0, 42]
    assert set(frames.damage) == {40, 41}
    assert "damaged" in frames.damage[40]
    assert frames[38:44, 0, 0].tolist() == [38, 39, 0, 0, 42, 43]
    frames.close()


def test_closing_ends_the_thread_and_still_gives_frames(video: Path) -> None:
    frames = CineFrames(open_cine(video))
    first = frames[0].copy()
    frames.close()
    assert not read_ahead_threads()
    np.testing.assert_array_equal(frames[0], first)
    assert frames.cached == 0


def test_the_thread_ends_with_its_array() -> None:
    gate = threading.Event()
    frames = CineFrames(CountedCine(5000, gate=gate), memory=100 * 24)
    gate.set()
    frames.frame(0)
    assert read_ahead_threads()
    del frames
    gc.collect()
    wait(lambda: not read_ahead_threads())


def test_several_threads_may_look(video: Path) -> None:
    with open_cine(video) as cine:
        truth = np.asarray(cine)
    frames = CineFrames(open_cine(video))
    wrong: list[int] = []

    def look(seed: int) -> None:
        for n in np.random.default_rng(seed).integers(0, 60, 60):
            if not np.array_equal(frames[int(n)], truth[n]):
                wrong.append(int(n))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    frames.close()
    assert wrong == []
