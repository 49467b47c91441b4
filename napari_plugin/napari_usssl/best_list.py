"""The list of the best frame of each plane."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_usssl.layers import BestFrame
from napari_usssl.palette import FAINT_INK
from napari_usssl.wording import duration, words

_HEADERS = ("Plane", "At", "Prob.")


class BestList(QTableWidget):
    """A row a plane: its colour and name, where its best frame is, and how probable it is there.

    Attributes:
        chosen: a person asked for this frame.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADERS), parent)
        self._best: list[BestFrame] = []
        self.setHorizontalHeaderLabels(_HEADERS)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setHighlightSections(False)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName("Best frame of each plane")
        self.setTabKeyNavigation(False)
        self.cellClicked.connect(self._choose)
        self.cellActivated.connect(self._choose)

    def show_best(self, best: Sequence[BestFrame], colors: Sequence[str]) -> None:
        """Lists the best frames; `colors` has one for each class of the bundle."""
        self._best = list(best)
        self.setRowCount(len(self._best))
        for row, one in enumerate(self._best):
            place = duration(one.seconds) if math.isfinite(one.seconds) else f"frame {one.frame}"
            tip = f"{words(one.plane)}: {one.probability:.3f} at frame {one.frame}; click to go there"
            if not one.is_top:
                tip += ". Another class is more probable there: this plane was perhaps not scanned"
            for column, text in enumerate((words(one.plane), place, f"{one.probability:.2f}")):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if not one.is_top:
                    item.setForeground(QColor(FAINT_INK))
                self.setItem(row, column, item)
            self.item(row, 0).setIcon(_swatch(colors[one.column]))
        self._fit()

    def _choose(self, row: int, column: int) -> None:
        self.chosen.emit(self._best[row].frame)

    def _fit(self) -> None:
        rows = min(max(self.rowCount(), 1), 12)
        height = self.horizontalHeader().sizeHint().height() + rows * self.verticalHeader().defaultSectionSize() + 4
        self.setMinimumHeight(min(height, 170))
        self.setMaximumHeight(height)


def _swatch(color: str) -> QIcon:
    picture = QPixmap(10, 10)
    picture.fill(QColor(color))
    return QIcon(picture)
