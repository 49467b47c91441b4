"""The toys show what they say, and the probes read what is there and nothing that is not."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from usssl.data.sampling import Timeline
from usssl.engine.reproduce import cate, toys, vtdl
from usssl.engine.reproduce.probes import knn_accuracy, linear_accuracy, r_squared, ridge
from usssl.engine.reproduce.toys import disc, texture, write_store

LABELS = [{"file": "a", "split": "train"}, {"file": "b", "split": "test"}]


def some_cines(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(60, 200, size=(6, 32, 32), dtype=np.uint8) for name in ("a", "b")}


def test_a_disc_has_its_area_and_place() -> None:
    found = disc((40, 50), np.array([10.0, 20.0]), np.array([12.0, 30.0]), np.array([4.0, 8.0]))
    assert found.sum(axis=(1, 2)) == pytest.approx([math.pi * 16, math.pi * 64], rel=0.02)
    assert (found[1] * np.arange(50)).sum() / found[1].sum() == pytest.approx(30.0)


def test_texture_is_standardised_and_smooth() -> None:
    fine, coarse = (texture(np.random.default_rng(0), (32, 48), grain) for grain in (0.5, (3.0, 3.0)))
    for one in (fine, coarse):
        assert one.shape == (32, 48)
        assert (one.mean(), one.std()) == pytest.approx((0, 1), abs=1e-9)
    assert np.abs(np.diff(coarse, axis=0)).mean() < 0.3 * np.abs(np.diff(fine, axis=0)).mean()


def test_a_store_of_arrays_keeps_them(tmp_path: Path) -> None:
    cines = some_cines(0)
    store = write_store(tmp_path, cines, LABELS, size=(32, 32), fps=20.0)
    assert store.table["split"].to_pylist() == ["train", "test"]
    np.testing.assert_array_equal(store.frames(0), cines["a"])
    assert Timeline.of(store.times(1)).interval_s == pytest.approx(0.05)


def test_a_store_is_made_once_and_never_taken_for_one_of_other_cines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_store(tmp_path, some_cines(0), LABELS, size=(32, 32), fps=20.0)
    for change in ({"cines": some_cines(1)}, {"labels": LABELS[::-1]}, {"size": (32, 34)}, {"fps": 25.0}):
        other = write_store(
            tmp_path, **{"cines": some_cines(0), "labels": LABELS, "size": (32, 32), "fps": 20.0} | change
        )
        assert other.path != first.path
    other = write_store(tmp_path, some_cines(1), LABELS, size=(32, 32), fps=20.0)
    np.testing.assert_array_equal(other.frames(0), some_cines(1)["a"])
    monkeypatch.setattr(toys, "prepare", None)
    again = write_store(tmp_path, some_cines(0), LABELS, size=(32, 32), fps=20.0)
    assert again.path == first.path
    np.testing.assert_array_equal(again.frames(0), some_cines(0)["a"])


def test_a_store_that_was_not_finished_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(toys, "prepare", killed)
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path, {**some_cines(0), "c": some_cines(0)["a"][:3]}, [*LABELS, LABELS[0] | {"file": "c"}],
                    size=(32, 32), fps=20.0)  # fmt: skip
    monkeypatch.undo()
    store = write_store(tmp_path, some_cines(1), LABELS, size=(32, 32), fps=20.0)
    assert len(store) == 2, "none of the cines that were given before"
    np.testing.assert_array_equal(store.frames(1), some_cines(1)["b"])


def test_two_at_once_make_a_store_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, index_folders = [], toys.index_folders

    def slowly(*arguments: object, **named: object) -> object:
        made.append(1)
        time.sleep(0.5)
        return index_folders(*arguments, **named)

    monkeypatch.setattr(toys, "index_folders", slowly)
    found: list[Path] = []
    ways = [
        threading.Thread(
            target=lambda: found.append(write_store(tmp_path, some_cines(0), LABELS, size=(32, 32), fps=20.0).path)
        )
        for _ in range(2)
    ]
    for way in ways:
        way.start()
    for way in ways:
        way.join()
    assert len(made) == 1
    assert len(found) == 2
    assert found[0] == found[1]


def test_an_organ_turns_and_cines_of_targets_change_their_movement() -> None:
    frames = cate.organ(np.random.default_rng(3)).astype(float)
    dark = frames < 35
    (rows_first, columns_first), (rows_last, columns_last) = (np.nonzero(dark[frame]) for frame in (0, -1))
    assert columns_first.std() > 1.5 * rows_first.std()
    assert rows_last.std() > 1.5 * columns_last.std()
    area = dark.sum(axis=(1, 2))
    assert area.max() < 1.25 * area.min(), "its area tells nothing"
    assert len(set(vtdl.movements(3).tolist())) == vtdl.SEGMENTS
    target = vtdl.target(3).astype(float)
    assert len(target) == vtdl.SEGMENTS * vtdl.SEGMENT
    still = target.std(axis=0)
    assert np.quantile(still, 0.2) < 8 < still.max(), "tissue rests, a target moves"


def test_a_ridge_regression_finds_a_line_and_classes() -> None:
    rng = np.random.default_rng(0)
    seen, new = rng.standard_normal((400, 3)), rng.standard_normal((200, 3))
    line = np.array([1.0, -2.0, 0.5])
    assert r_squared(new @ line + 4, ridge(seen, seen @ line + 4, new)) > 0.999
    classes, truth = (seen[:, 0] > 0).astype(int), (new[:, 0] > 0).astype(int)
    assert linear_accuracy(seen, classes, new, truth) > 0.95
    shuffled = rng.permutation(classes)
    assert abs(linear_accuracy(seen, shuffled, new, truth) - 0.5) < 0.15


def test_r_squared_by_hand() -> None:
    # residuals 1, 0, 0 against deviations 1, 0, 1
    assert r_squared(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 3.0])) == pytest.approx(0.5)


def test_nearest_neighbours_vote_by_their_direction() -> None:
    angles = np.deg2rad([0, 5, 10, 180, 185, 190])
    seen = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([1, 2, 3, 1, 2, 3])[:, None]
    classes = np.array([4, 4, 4, 7, 7, 7])
    new = np.array([[9.0, 1.0], [-0.1, 0.0]])
    assert knn_accuracy(seen, classes, new, np.array([4, 7]), k=3) == 1.0
    assert knn_accuracy(seen, classes, new, np.array([7, 4]), k=3) == 0.0
