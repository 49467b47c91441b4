"""The dock below the image: the timeline and the row that plays."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_usssl.player import Player
from napari_usssl.timeline import Timeline


class TimePanel(QWidget):
    """Timeline and player of one cine, which share the frame in view.

    Attributes:
        seeked: this frame is asked for, by a person or by playing.
    """

    seeked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.timeline = Timeline()
        self.player = Player()
        self.timeline.seeked.connect(self.seeked)
        self.player.wanted.connect(self.seeked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.timeline, 1)
        layout.addWidget(self.player)

    def show_cine(self, times: Any) -> None:
        """Takes a cine with these times, (T,) in seconds, or none."""
        self.timeline.show_cine(times)
        self.player.show_cine(times)

    def set_frame(self, frame: int) -> None:
        """Follows the frame in view."""
        self.timeline.set_frame(frame)
        self.player.set_frame(frame)
