"""One piece of work at a time in a worker thread, that can be stopped and always ends in exactly one signal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from usssl.bundle import PredictionStoppedError

Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
Work = Callable[[Progress, ShouldStop], Any]


@dataclass(frozen=True)
class _Outcome:
    ticket: int
    value: Any = None
    error: Exception | None = None


class _Reporter(QObject):
    """Carries progress over to the window's thread; the worker holds it, so that it outlives a closed window."""

    progressed = Signal(int, int, int)


class Job(QObject):
    """Runs work in a worker thread of napari.

    Errors are caught and told by `failed`, since a worker of napari shows a traceback for those that it sees. Starting
    again drops the former work: it is stopped, and none of its signals come any more.

    Attributes:
        progressed: so much is done, of so much.
        done: the result.
        failed: the error.
        stopped: the work ended because it was asked to.
    """

    progressed = Signal(int, int)
    done = Signal(object)
    failed = Signal(object)
    stopped = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Signals of dropped work may still be on their way; they carry the number of their work.
        self._ticket = 0
        self._running = False
        self._stop = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether work is under way."""
        return self._running

    def start(self, work: Work) -> None:
        """Starts `work(progress, should_stop)`; its result comes with `done`."""
        self.drop()
        ticket, stop, reporter = self._ticket, threading.Event(), _Reporter()

        def should_stop() -> bool:
            # napari asks its workers to quit when the window closes.
            return stop.is_set() or bool(worker.abort_requested)

        def attempt() -> _Outcome:
            try:
                value = work(lambda done, total: reporter.progressed.emit(ticket, done, total), should_stop)
            except Exception as error:  # whatever it is, the panel says it in a sentence
                return _Outcome(ticket, error=error)
            return _Outcome(ticket, value=value)

        worker: Any = create_worker(attempt, _start_thread=False)
        worker.returned.connect(self._finish)
        reporter.progressed.connect(self._advance)
        self.destroyed.connect(stop.set)
        self._stop, self._running = stop, True
        worker.start()

    def stop(self) -> None:
        """Asks the work to stop soon; `stopped` tells when it has, or `done` if it was quicker."""
        self._stop.set()

    def drop(self) -> None:
        """Stops the work and forgets it."""
        self._stop.set()
        self._ticket += 1
        self._running = False

    def _advance(self, ticket: int, done: int, total: int) -> None:
        if ticket == self._ticket:
            self.progressed.emit(done, total)

    def _finish(self, outcome: _Outcome) -> None:
        if outcome.ticket != self._ticket:
            return
        self._running = False
        if isinstance(outcome.error, PredictionStoppedError):
            self.stopped.emit()
        elif outcome.error is not None:
            self.failed.emit(outcome.error)
        else:
            self.done.emit(outcome.value)
