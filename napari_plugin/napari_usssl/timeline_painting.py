"""Paints the lanes of the timeline: names, curves, best frames, and the marks of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from napari_usssl import palette
from napari_usssl.layers import BestFrame
from napari_usssl.time_axis import TimeAxis, envelope
from napari_usssl.wording import words
from usssl.bundle import Prediction

_TOP = 14.0
_GAP = 3.0
_FILL_ALPHA = 110


@dataclass(frozen=True)
class Lanes:
    """Where the lanes lie.

    Attributes:
        classes: a lane each, from the top.
        top: first pixel of the first lane.
        height: of one lane with its gap.
        bottom: where the lanes end and the marks of time begin.
    """

    classes: tuple[str, ...]
    top: float
    height: float
    bottom: float

    @classmethod
    def laid_out(cls, classes: Sequence[str], height: float, text_height: float) -> Lanes:
        """Lanes of one height in a widget this high, with room for the marks of time below."""
        bottom = max(_TOP + 10.0, height - text_height - 8)
        return cls(tuple(classes), _TOP, (bottom - _TOP) / max(1, len(classes)), bottom)

    def column_at(self, y: float) -> int | None:
        """The class whose lane is at this pixel."""
        column = int((y - self.top) // self.height)
        return column if 0 <= column < len(self.classes) else None

    def box(self, column: int, left: float, width: float) -> QRectF:
        """The rectangle of a lane without its gap."""
        return QRectF(left, self.top + column * self.height, width, max(2.0, self.height - _GAP))


def paint_lanes(
    painter: QPainter,
    lanes: Lanes,
    axis: TimeAxis,
    times: Any,
    prediction: Prediction | None,
    best: Sequence[BestFrame],
) -> None:
    """Paints all but the cursor.

    Args:
        painter: on a dark ground.
        lanes: where they lie.
        axis: the view.
        times: seconds of each frame, (T,).
        prediction: None before a bundle was run.
        best: the best frame of each plane.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _paint_time(painter, lanes, axis, times)
    if prediction is None or prediction.plane_probs is None:
        _paint_hint(painter, lanes, axis, times, prediction)
        return
    colors = [QColor(color) for color in palette.class_colors(lanes.classes)]
    for column, name in enumerate(lanes.classes):
        box = lanes.box(column, axis.left, axis.width)
        painter.fillRect(box, QColor(255, 255, 255, 10))
        _paint_name(painter, name, colors[column], QRectF(0, box.top(), axis.left, box.height()))
        painter.save()
        painter.setClipRect(box.adjusted(0, -1, 0, 1))
        _paint_curve(painter, envelope(prediction.plane_probs[:, column], axis), box, colors[column], axis)
        painter.restore()
    for mark in best:
        _paint_mark(painter, mark, lanes.box(mark.column, axis.left, axis.width), axis, colors[mark.column])


def _paint_name(painter: QPainter, name: str, color: QColor, box: QRectF) -> None:
    side = min(9.0, box.height() - 2)
    painter.fillRect(QRectF(6, box.center().y() - side / 2, side, side), color)
    text = QFontMetricsF(painter.font()).elidedText(words(name), Qt.TextElideMode.ElideMiddle, box.width() - 24)
    painter.setPen(QColor(palette.INK))
    painter.drawText(box.adjusted(19, -2, 0, 2), Qt.AlignmentFlag.AlignVCenter, text)


def _paint_curve(painter: QPainter, curve: Any, box: QRectF, color: QColor, axis: TimeAxis) -> None:
    if not len(curve):
        return
    y = box.bottom() - np.clip(curve[:, 1], 0, 1) * box.height()
    points = [QPointF(float(px), float(py)) for px, py in zip(curve[:, 0], y, strict=True)]
    if len(points) == 1:
        points = [QPointF(axis.x(-0.5), points[0].y()), QPointF(axis.x(axis.frames - 0.5), points[0].y())]
    fill = QColor(color)
    fill.setAlpha(_FILL_ALPHA)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(fill)
    ends = [QPointF(points[-1].x(), box.bottom()), QPointF(points[0].x(), box.bottom())]
    painter.drawPolygon(QPolygonF(points + ends))
    painter.setPen(QPen(color, 1.4))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(QPolygonF(points))


def _paint_mark(painter: QPainter, mark: BestFrame, box: QRectF, axis: TimeAxis, color: QColor) -> None:
    """A dot at the best frame: filled where the plane is the most probable class there, hollow where it never is."""
    if mark.frame not in axis.visible():
        return
    middle = QPointF(axis.x(mark.frame), box.bottom() - mark.probability * box.height())
    middle.setY(min(max(middle.y(), box.top() + 3), box.bottom() - 3))
    painter.setPen(QPen(QColor(palette.CURSOR), 1.2))
    painter.setBrush(color if mark.is_top else QColor(palette.GROUND))
    painter.drawEllipse(middle, 3.6, 3.6)


def _paint_time(painter: QPainter, lanes: Lanes, axis: TimeAxis, times: Any) -> None:
    if not len(times):
        return
    metrics = QFontMetricsF(painter.font())
    for x, text in axis.ticks(times):
        painter.setPen(QPen(QColor(palette.GRID), 1))
        painter.drawLine(QPointF(x, lanes.top), QPointF(x, lanes.bottom + 3))
        width = metrics.horizontalAdvance(text)
        left = min(max(x - width / 2, axis.left - width / 2), axis.left + axis.width + 10 - width)
        painter.setPen(QColor(palette.FAINT_INK))
        painter.drawText(QPointF(left, lanes.bottom + 4 + metrics.ascent()), text)


def _paint_hint(painter: QPainter, lanes: Lanes, axis: TimeAxis, times: Any, prediction: Prediction | None) -> None:
    if not len(times):
        text = "Open a cine to begin."
    elif prediction is None:
        text = "Choose a bundle and run it to see the planes over time."
    else:
        text = "This bundle does not tell planes."
    painter.setPen(QColor(palette.FAINT_INK))
    painter.drawText(
        QRectF(axis.left, lanes.top, axis.width, lanes.bottom - lanes.top), Qt.AlignmentFlag.AlignCenter, text
    )
