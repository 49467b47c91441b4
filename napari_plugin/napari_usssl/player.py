"""The row below the timeline: play at the cine's own pace, slower or faster, and where the cursor stands."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QElapsedTimer, Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_usssl.clock import ASSUMED_FPS, PlayClock
from napari_usssl.wording import position

_PACES = (("¼ speed", 0.25), ("½ speed", 0.5), ("real time", 1.0), ("2× speed", 2.0))
# A screen shows no more; frames in between are left out, so that time stays true.
_SHORTEST_TICK_MS = 15


class Player(QWidget):
    """Plays a cine in a loop by asking for frames as they are due.

    Attributes:
        wanted: this frame is due.
    """

    wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: Any = ()
        self._frame = 0
        self._clock = PlayClock.of([0.0])
        self._start = 0
        self._elapsed = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self.button = QPushButton("▶  Play")
        self.button.setCheckable(True)
        self.button.setToolTip("Play in a loop; time stays true, frames are left out if the screen is too slow")
        self.button.toggled.connect(self._toggle)
        self.pace = QComboBox()
        for text, factor in _PACES:
            self.pace.addItem(text, factor)
        self.pace.setCurrentIndex(2)
        self.pace.currentIndexChanged.connect(self._restart)
        self.place = QLabel()
        self.note = QLabel()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.pace, self.place):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addWidget(self.note)
        self.show_cine(())

    @property
    def is_playing(self) -> bool:
        """Whether it plays."""
        return self._timer.isActive()

    def show_cine(self, times: Any) -> None:
        """Takes a cine with these times, (T,) in seconds, or none."""
        self.button.setChecked(False)
        self._times, self._frame = times, 0
        self._clock = PlayClock.of(times if len(times) else [0.0])
        assumed = self._clock.is_assumed and len(times) > 1
        self.pace.setItemText(2, f"{ASSUMED_FPS:.0f} frames/s" if assumed else _PACES[2][0])
        self.pace.setToolTip("The file does not say its frame rate" if assumed else "")
        self.button.setEnabled(len(times) > 1)
        self.pace.setEnabled(len(times) > 1)
        self.say("")
        self._write()

    def set_frame(self, frame: int) -> None:
        """Follows the frame in view; where a person moved it while playing, playing goes on from there."""
        if frame != self._frame and self.is_playing:
            self._start = frame
            self._elapsed.restart()
        self._frame = frame
        self._write()

    def say(self, text: str) -> None:
        """A short remark on the frame in view, at the right end."""
        self.note.setText(text)

    def _toggle(self, play: bool) -> None:
        self.button.setText("❚❚  Pause" if play else "▶  Play")
        if play:
            self._restart()
            self._timer.start(max(_SHORTEST_TICK_MS, math.floor(500 * self._clock.shortest_step / self._factor)))
        else:
            self._timer.stop()

    def _restart(self) -> None:
        self._start = self._frame
        self._elapsed.restart()

    def _tick(self) -> None:
        frame = self._clock.frame_after(self._start, self._elapsed.elapsed() / 1000 * self._factor)
        if frame != self._frame:
            # Set first, so that the echo from the viewer is no person's move.
            self._frame = frame
            self._write()
            self.wanted.emit(frame)

    @property
    def _factor(self) -> float:
        return float(self.pace.currentData())

    def _write(self) -> None:
        self.place.setText(position(self._frame, self._times) if len(self._times) else "")
