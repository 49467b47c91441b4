"""The timeline: a lane a class with its probability over time, the best frames, and the frame in view.

Click or drag seeks, the wheel zooms around the pointer, a double click shows all, and the arrow keys step.
"""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPixmap, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_usssl import palette
from napari_usssl.layers import BestFrame, best_frames
from napari_usssl.time_axis import TimeAxis
from napari_usssl.timeline_painting import Lanes, paint_lanes
from napari_usssl.wording import duration, position, words
from usssl.bundle import Prediction

_WIDEST_GUTTER = 170.0
_WHEEL_STEP = 1.25
_PAGE = 10


class Timeline(QWidget):
    """Probabilities of the planes over the time of one cine, and a cursor at the frame in view.

    Attributes:
        seeked: a person asked for this frame.
    """

    seeked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: Any = ()
        self._prediction: Prediction | None = None
        self._best: list[BestFrame] = []
        self._frame = 0
        self._axis = TimeAxis.whole(1, 0, 1)
        self._lanes: Lanes | None = None
        self._picture: QPixmap | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Plane probabilities over time")
        self.setCursor(Qt.CursorShape.CrossCursor)

    @property
    def frame(self) -> int:
        """The frame under the cursor."""
        return self._frame

    @property
    def axis(self) -> TimeAxis:
        """The part of the cine in view, for tests and for zooming by code."""
        return self._axis

    def show_cine(self, times: Any) -> None:
        """Shows an empty timeline for a cine with these times, (T,) in seconds, or nothing for no frames."""
        self._times, self._prediction, self._best = times, None, []
        self._frame = 0
        self._axis = TimeAxis.whole(len(times), 0, 1)
        self._refresh()

    def show_prediction(self, prediction: Prediction | None) -> None:
        """Shows what a bundle says of the cine, or takes it away."""
        self._prediction = prediction
        self._best = best_frames(prediction) if prediction is not None else []
        self._refresh()

    def set_frame(self, frame: int) -> None:
        """Moves the cursor, and the view where it would be out of it."""
        frame = min(max(0, frame), max(0, len(self._times) - 1))
        if frame == self._frame:
            return
        self._frame = frame
        moved = self._axis.revealing(frame)
        if moved != self._axis:
            self._axis = moved
            self._picture = None
        self.update()

    def hover_text(self, x: float, y: float) -> str:
        """What the timeline says at a pixel: plane, probability, frame and time."""
        if not len(self._times) or self._lanes is None:
            return ""
        frame = self._axis.frame(x)
        where = position(frame, self._times)
        column = self._lanes.column_at(y)
        if column is None or self._prediction is None or self._prediction.plane_probs is None:
            return where
        text = f"{words(self._prediction.classes[column])} {self._prediction.plane_probs[frame, column]:.2f}\n{where}"
        for best in self._best:
            if best.column == column:
                text += f"\nbest: {best.probability:.2f} at frame {best.frame}"
                text += f", {duration(best.seconds)}" if math.isfinite(best.seconds) else ""
        return text

    def sizeHint(self) -> QSize:  # noqa: N802
        """A lane for six classes."""
        return QSize(640, 190)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Room for a few narrow lanes."""
        return QSize(240, 110)

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Paints the lanes once, and the cursor each time."""
        self._lay_out()
        assert self._lanes is not None
        if self._picture is None:
            ratio = self.devicePixelRatioF()
            self._picture = QPixmap(QSize(self.width(), self.height()) * ratio)
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(QColor(palette.GROUND))
            painter = QPainter(self._picture)
            painter.setFont(self._small_font())
            paint_lanes(painter, self._lanes, self._axis, self._times, self._prediction, self._best)
            painter.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        if len(self._times):
            self._paint_cursor(painter)
        if self.hasFocus():
            painter.setPen(QColor(palette.FAINT_INK))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_cursor(self, painter: QPainter) -> None:
        assert self._lanes is not None
        x, top, height = self._axis.x(self._frame), self._lanes.top, self._lanes.bottom - self._lanes.top
        half = self._axis.pixels_a_frame / 2
        if half > 2:
            shade = QColor(palette.CURSOR)
            shade.setAlpha(28)
            painter.fillRect(QRectF(x - half, top, 2 * half, height), shade)
        # On whole pixels, so that the line is sharp.
        painter.fillRect(QRect(round(x) - 1, round(top) - 4, 2, round(height) + 4), QColor(palette.CURSOR))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(palette.CURSOR))
        painter.setPen(Qt.PenStyle.NoPen)
        corners = ((round(x) - 5, top - 10), (round(x) + 5, top - 10), (round(x), top - 3))
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Lays the lanes out anew."""
        self._refresh()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Seeks."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._seek(event.position().x())

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Seeks while the button is down, and says what is under the pointer."""
        place = event.position()
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._seek(place.x())
        QToolTip.showText(
            self.mapToGlobal(QPoint(int(place.x()) + 12, int(place.y()) + 12)),
            self.hover_text(place.x(), place.y()),
            self,
        )

    def mouseDoubleClickEvent(self, event: Any) -> None:  # noqa: N802
        """Shows the whole cine."""
        self._axis = TimeAxis.whole(self._axis.frames, self._axis.left, self._axis.width)
        self._refresh()

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Zooms around the pointer."""
        turns = event.angleDelta().y() / 120
        if turns and len(self._times):
            self._axis = self._axis.zoomed(_WHEEL_STEP**turns, event.position().x())
            self._refresh()
        event.accept()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Steps: arrows by one frame, page keys by ten, home and end to the ends."""
        keys = Qt.Key
        target = {
            keys.Key_Left: self._frame - 1,
            keys.Key_Right: self._frame + 1,
            keys.Key_PageDown: self._frame + _PAGE,
            keys.Key_PageUp: self._frame - _PAGE,
            keys.Key_Home: 0,
            keys.Key_End: len(self._times) - 1,
        }.get(event.key())
        if target is None or not len(self._times):
            super().keyPressEvent(event)
            return
        self._ask(target)

    def focusInEvent(self, event: Any) -> None:  # noqa: N802
        """Shows the frame that tells where the keys go."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: Any) -> None:  # noqa: N802
        """Takes that frame away."""
        super().focusOutEvent(event)
        self.update()

    def _seek(self, x: float) -> None:
        if len(self._times):
            self._ask(self._axis.frame(x))

    def _ask(self, frame: int) -> None:
        frame = min(max(0, frame), len(self._times) - 1)
        if frame != self._frame:
            self.set_frame(frame)
            self.seeked.emit(frame)

    def _refresh(self) -> None:
        self._picture = None
        self._lanes = None
        self.update()

    def _lay_out(self) -> None:
        if self._lanes is not None:
            return
        has_planes = self._prediction is not None and self._prediction.plane_probs is not None
        classes = self._prediction.classes if self._prediction is not None and has_planes else ()
        metrics = QFontMetricsF(self._small_font())
        widest = max((metrics.horizontalAdvance(words(name)) for name in classes), default=0.0)
        gutter = min(_WIDEST_GUTTER, widest + 32)
        self._axis = self._axis.placed(gutter, self.width() - gutter - 12)
        self._lanes = Lanes.laid_out(classes, self.height(), metrics.height())

    def _small_font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        return font
