"""Opens cines: one file of any name, or a folder to go through."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_usssl.folder import cines_in
from napari_usssl.frames import CineFrames
from napari_usssl.job import Job
from napari_usssl.reader import open_layer
from napari_usssl.wording import cine_facts, problem
from usssl.errors import UssslError


class CineBox(QWidget):
    """Buttons to open cines, the cines of the folder, and the facts of the one that is looked at.

    File names may name patients: cines are numbered, and names are shown only where the box is ticked.

    Attributes:
        opened: napari layer data of a cine.
        failed: a sentence; empty when a new attempt begins.
    """

    opened = Signal(object)
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._files: list[Path] = []
        self._frames: CineFrames | None = None
        self._asked = ""
        self.job = Job(self)
        self.job.done.connect(self.opened)
        self.job.failed.connect(self._tell)
        self.open_button = QPushButton("Open cine…")
        self.open_button.setToolTip("DICOM, video or MetaImage, whatever the file is called")
        self.open_button.clicked.connect(self._ask_file)
        self.folder_button = QPushButton("Open folder…")
        self.folder_button.clicked.connect(self._ask_folder)
        self.list = QComboBox()
        self.list.setAccessibleName("Cines of the folder")
        self.list.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.list.setMinimumContentsLength(8)
        self.list.currentIndexChanged.connect(self._open_listed)
        self.back = QPushButton("◀")
        self.back.setToolTip("Previous cine of the folder")
        self.back.clicked.connect(lambda: self.step(-1))
        self.on = QPushButton("▶")
        self.on.setToolTip("Next cine of the folder")
        self.on.clicked.connect(lambda: self.step(1))
        self.names = QCheckBox("Show file names")
        self.names.setToolTip("File names may name the patient")
        self.names.toggled.connect(self._name)
        self.facts = QLabel("No cine is open.")
        self.facts.setWordWrap(True)
        self._lay_out()

    def open_file(self, path: Path) -> None:
        """Opens a file in the background."""
        self._asked = self._title(path)
        self.failed.emit("")
        self.facts.setText("Opening…")
        self.job.start(lambda progress, should_stop: open_layer(path))

    def open_folder(self, folder: Path) -> None:
        """Lists a folder's cines and opens the first."""
        self.failed.emit("")
        try:
            self._files = cines_in(folder)
        except UssslError as error:
            self._files = []
            self.failed.emit(problem(error, "the folder"))
        self._name()
        self._nav.setVisible(bool(self._files))
        if self._files:
            self.list.setCurrentIndex(-1)
            self.list.setCurrentIndex(0)

    def step(self, by: int) -> None:
        """Goes to another cine of the folder, by places in the list."""
        index = self.list.currentIndex() + by
        if 0 <= index < len(self._files):
            self.list.setCurrentIndex(index)

    def show_facts(self, frames: CineFrames | None) -> None:
        """Tells of the cine that is looked at."""
        self._frames = frames
        if frames is None:
            self.facts.setText("No cine is open.")
            return
        lines = [cine_facts(frames.cine), *(f"Note: {warning}" for warning in frames.cine.facts.warnings)]
        if self.names.isChecked():
            lines.insert(0, frames.path.name)
        self.facts.setText("\n".join(lines))

    def _open_listed(self, index: int) -> None:
        self.back.setEnabled(index > 0)
        self.on.setEnabled(0 <= index < len(self._files) - 1)
        if 0 <= index < len(self._files):
            self.open_file(self._files[index])

    def _title(self, path: Path) -> str:
        if self.names.isChecked():
            return path.name
        return f"cine {self._files.index(path) + 1} of {len(self._files)}" if path in self._files else "the file"

    def _name(self) -> None:
        """Writes the list and the facts, with or without file names."""
        index = self.list.currentIndex()
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addItems([self._title(path) for path in self._files])
        self.list.setCurrentIndex(index if index < len(self._files) else -1)
        self.list.blockSignals(False)
        self.show_facts(self._frames)

    def _tell(self, error: Exception) -> None:
        self.show_facts(self._frames)
        self.failed.emit(problem(error, self._asked))

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a cine")
        if path:
            self.open_file(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of cines")
        if path:
            self.open_folder(Path(path))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.folder_button)
        self._nav = QWidget()
        row = QHBoxLayout(self._nav)
        row.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.back, 0), (self.list, 1), (self.on, 0)):
            row.addWidget(widget, stretch)
        self._nav.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self._nav)
        layout.addWidget(self.facts)
        layout.addWidget(self.names)
