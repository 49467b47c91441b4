"""Chooses a bundle, and checks it as soon as it is chosen."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_usssl.job import Job
from napari_usssl.wording import bundle_facts, problem
from usssl.bundle import Bundle, open_bundle


class BundleBox(QWidget):
    """A button to choose a bundle's folder, and what that bundle does.

    Attributes:
        changed: there is another bundle, or none; ask `bundle`.
        failed: a sentence; empty when a new attempt begins.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bundle: Bundle | None = None
        self.job = Job(self)
        self.job.done.connect(self._take)
        self.job.failed.connect(self._tell)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.button = QPushButton("Choose bundle…")
        self.button.setToolTip("The folder that `usssl export` wrote")
        self.button.clicked.connect(self._ask)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.facts, 1)
        layout.addWidget(self.button)
        self._write()

    def open(self, folder: Path) -> None:
        """Opens a bundle in the background."""
        self.failed.emit("")
        self.facts.setText("Opening…")
        # One core is left to the window, which else would stand still during a run.
        threads = max(1, (os.cpu_count() or 2) - 1)
        self.job.start(lambda progress, should_stop: open_bundle(folder, threads=threads))

    def _take(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._write()
        self.changed.emit()

    def _tell(self, error: Exception) -> None:
        self.bundle = None
        self._write()
        self.changed.emit()
        self.failed.emit(problem(error, "the bundle"))

    def _write(self) -> None:
        self.facts.setText("No bundle chosen." if self.bundle is None else bundle_facts(self.bundle.metadata))
        self.facts.setToolTip("" if self.bundle is None else str(self.bundle.path))

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a bundle")
        if path:
            self.open(Path(path))
