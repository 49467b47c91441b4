"""Runs the bundle over the cine: a button, the progress, and a way to stop."""

from __future__ import annotations

import time
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_usssl.job import Job
from napari_usssl.predicting import predict
from usssl.bundle import Bundle


class RunBox(QWidget):
    """Run, progress, cancel.

    Attributes:
        asked: the button was pressed.
        done: the prediction.
        failed: the error.
        stopped: the run was cancelled.
    """

    asked = Signal()
    done = Signal(object)
    failed = Signal(object)
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.seconds = 0.0
        self._started = 0.0
        self._ready = False
        self.job = Job(self)
        self.job.progressed.connect(self._advance)
        for signal, own in (
            (self.job.done, self.done),
            (self.job.failed, self.failed),
            (self.job.stopped, self.stopped),
        ):
            signal.connect(self._rest)
            signal.connect(own)
        self.button = QPushButton("Run")
        self.button.clicked.connect(self.asked)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self._cancel)
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button, 1)
        layout.addWidget(self.bar, 2)
        layout.addWidget(self.cancel)
        self._rest()

    def set_ready(self, ready: bool, why_not: str = "") -> None:
        """Whether there is something to run."""
        self._ready = ready
        self.button.setEnabled(ready)
        self.button.setToolTip(why_not or "Run the bundle over the whole cine")

    def start(self, path: Path, bundle: Bundle) -> None:
        """Runs the bundle over the cine in this file."""
        self._started = time.monotonic()
        self.bar.setRange(0, 0)
        self.bar.setFormat("opening")
        self.cancel.setEnabled(True)
        self.cancel.setText("Cancel")
        for widget, seen in ((self.button, False), (self.bar, True), (self.cancel, True)):
            widget.setVisible(seen)
        self.job.start(lambda progress, should_stop: predict(path, bundle, progress, should_stop))

    def _advance(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        left = (time.monotonic() - self._started) / max(1, done) * (total - done)
        self.bar.setFormat(f"%p %, {left:.0f} s left" if left >= 1 else "%p %")

    def _cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.cancel.setText("Stopping")
        self.job.stop()

    def _rest(self, result: object = None) -> None:
        self.seconds = time.monotonic() - self._started
        for widget, seen in ((self.button, True), (self.bar, False), (self.cancel, False)):
            widget.setVisible(seen)
        self.set_ready(self._ready)
