"""Decoding a group of frames by several threads, the calling one among them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from usssl.cine.threads import map_in_threads


def test_results_come_in_order_whichever_thread_made_them() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def double(number: int) -> tuple[int, str]:
        if number < 2:
            meeting.wait()  # two threads are at work at once, or this breaks
        return 2 * number, threading.current_thread().name

    found = list(map_in_threads(double, range(100), 2))
    assert [value for value, _ in found] == list(range(0, 200, 2))
    assert threading.current_thread().name in {name for _, name in found}
    assert len({name for _, name in found[:2]}) == 2


def test_an_error_is_raised_at_its_turn_and_not_before() -> None:
    def inverse(number: int) -> float:
        return 1 / (3 - number)

    results = map_in_threads(inverse, range(6), 3)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_more_is_read_than_is_soon_handed_out() -> None:
    read = []

    def things() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    results = map_in_threads(str, things(), 2)
    assert next(results) == "0"
    assert len(read) < 50
    assert list(map_in_threads(str, [], 2)) == []
