"""Keeps the frames around the one in view decoded, in a thread, within a bound on their number."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from usssl.errors import CineError

if TYPE_CHECKING:
    from usssl.cine import Cine

UInt8 = npt.NDArray[np.uint8]

# Decoders that thread over frames are slow one frame at a time, and a viewer should not wait for many.
BLOCK = 16
# A step no longer than this is a person stepping or playing, not jumping.
STEP = 8


class ReadAhead:
    """The frames of a cine by number, from memory where they are there.

    It has two handles on the file, because a seek for the frame in view would throw the thread out of its place. Where
    the whole cine fits, the thread reads it through once, and leaves its place only for a person who steps or plays
    through frames that are not there yet. Where it does not fit, the thread follows the frame in view, with three
    quarters of the memory for the frames ahead.
    """

    def __init__(self, now: Cine, later: Cine, capacity: int) -> None:
        """Takes over two handles on one cine: for the frame in view, and for reading ahead."""
        self._now, self._later = now, later
        self._total = len(now)
        self._capacity = max(1, min(capacity, self._total))
        self._frames: dict[int, UInt8] = {}
        self._damage: dict[int, str] = {}
        self._view = 0
        self._place = 0
        self._coming = range(0)
        self._state = threading.Condition()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        """Number of frames in memory."""
        return len(self._frames)

    def frame(self, number: int) -> UInt8:
        """One frame, read-only, `(H, W)` or `(H, W, 3)`.

        Raises:
            CineError: if it is damaged.
        """
        with self._state:
            step, self._view = number - self._view, number
            while number in self._coming and number not in self._frames and not self._closed:
                self._state.wait(timeout=1.0)
            found = self._frames.get(number)
            if found is None and 0 <= step <= STEP:
                self._place = number + 1
            self._state.notify_all()
        if found is None:
            # A step back needs a seek, so it takes the frames before it along.
            first = max(0, number + 1 - BLOCK) if -STEP <= step < 0 else number
            found = self._read_now(range(first, number + 1))
        self._start()
        return found

    def set_capacity(self, frames: int) -> None:
        """Sets how many frames may be held; those farthest from the frame in view go first."""
        with self._state:
            self._capacity = max(1, min(frames, self._total))
            self._evict()
            self._state.notify_all()

    def close(self) -> None:
        """Ends the thread, and releases the file and all frames; `frame` opens it again."""
        with self._state:
            self._closed = True
            self._state.notify_all()
            thread, self._thread = self._thread, None
        # The garbage collector may call this from any thread.
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._reading:
            self._now.close()
        with self._state:
            self._frames.clear()

    def _read_now(self, numbers: range) -> UInt8:
        """Reads the last of these frames, and those before it where none is damaged."""
        last = numbers[-1]
        if last in self._damage:
            raise CineError(self._now.source, self._damage[last])
        with self._reading:
            try:
                block = self._now.read(numbers)
            except CineError as error:
                if len(numbers) == 1:
                    self._damage[last] = error.reason
                    raise
                block = None
        if block is None:
            return self._read_now(range(last, last + 1))
        self._keep(numbers, block)
        return _read_only(block[-1])

    def _keep(self, numbers: Iterable[int], block: UInt8) -> None:
        # A view would keep the whole block alive.
        frames = [_read_only(frame.copy()) for frame in block]
        with self._state:
            if not self._closed:
                for number, frame in zip(numbers, frames, strict=True):
                    self._frames.setdefault(number, frame)
                self._evict()
            self._state.notify_all()

    def _evict(self) -> None:
        while len(self._frames) > self._capacity:
            del self._frames[max((min(self._frames), max(self._frames)), key=self._distance)]

    def _distance(self, number: int) -> int:
        return number - self._view if number >= self._view else 3 * (self._view - number)

    def _start(self) -> None:
        with self._state:
            alive = self._thread is not None and self._thread.is_alive()
            if not alive and not self._closed and len(self._frames) + len(self._damage) < self._total:
                self._thread = threading.Thread(target=self._read_on, name="read-ahead", daemon=True)
                self._thread.start()

    def _read_on(self) -> None:
        """What the thread does until `close`, or until the whole cine is in memory."""
        try:
            while self._wait_for_work():
                self._read_block(self._coming)
                with self._state:
                    self._coming = range(0)
                    self._state.notify_all()
        finally:
            self._coming = range(0)
            self._later.close()

    def _wait_for_work(self) -> bool:
        with self._state:
            while not self._closed:
                block = self._next_block()
                if block:
                    self._coming, self._place = block, block.stop
                    return True
                if self._capacity == self._total:
                    return False
                self._state.wait()
            return False

    def _next_block(self) -> range:
        """The next frames worth decoding, or none."""
        if self._capacity == self._total:
            end = self._total
            order: Iterable[int] = itertools.chain(range(self._place, end), range(self._place))
        else:
            end = min(self._total, self._view + self._capacity * 3 // 4)
            order = range(self._view, end)
        start = next((i for i in order if self._is_missing(i)), end)
        # Playing frees one place at a time; a block is worth a read.
        if start == end or (end < self._total and end - start < min(BLOCK, self._capacity // 4)):
            return range(0)
        block = itertools.takewhile(self._is_missing, range(start, min(end, start + BLOCK)))
        return range(start, start + sum(1 for _ in block))

    def _is_missing(self, number: int) -> bool:
        return number not in self._frames and number not in self._damage

    def _read_block(self, numbers: range) -> None:
        try:
            self._keep(numbers, self._later.read(numbers))
        except CineError as error:
            if len(numbers) == 1:
                self._damage[numbers[0]] = error.reason
            elif not self._closed:
                for number in numbers:
                    self._read_block(range(number, number + 1))


def _read_only(frame: UInt8) -> UInt8:
    frame.flags.writeable = False
    return frame
