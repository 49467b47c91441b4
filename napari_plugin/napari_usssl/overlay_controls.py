"""Shows and hides the saliency layer, and sets its opacity; follows what napari's own controls do to it."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSlider, QWidget

from napari_usssl.layers import OPACITY


class OverlayControls(QWidget):
    """A box to tick and a slider for one saliency layer.

    Attributes:
        asked: the box was ticked while there is no layer.
    """

    asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layer: Image | None = None
        self.box = QCheckBox("Show saliency")
        self.box.setToolTip("Where the model expects an expert to look")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(round(100 * OPACITY))
        self.slider.setAccessibleName("Opacity of the saliency")
        self.slider.setToolTip("Opacity")
        self.box.toggled.connect(self._toggle)
        self.slider.valueChanged.connect(self._fade)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(QLabel("opacity"))
        layout.addWidget(self.slider, 1)
        self.setEnabled(False)

    @property
    def layer(self) -> Image | None:
        """The layer that is controlled."""
        return self._layer

    @property
    def opacity(self) -> float:
        """What the slider says, 0 to 1."""
        return self.slider.value() / 100

    def control(self, layer: Image | None, available: bool) -> None:
        """Takes a layer, or none; `available` tells whether one could be made."""
        if self._layer is not None:
            self._layer.events.visible.disconnect(self._read)
            self._layer.events.opacity.disconnect(self._read)
        self._layer = layer
        if layer is not None:
            layer.events.visible.connect(self._read)
            layer.events.opacity.connect(self._read)
        self.setEnabled(available)
        self._read()

    def _toggle(self, show: bool) -> None:
        if self._layer is not None:
            self._layer.visible = show
        elif show:
            self.asked.emit()

    def _fade(self, value: int) -> None:
        if self._layer is not None:
            self._layer.opacity = value / 100

    def _read(self, event: Any = None) -> None:
        for widget in (self.box, self.slider):
            widget.blockSignals(True)
        self.box.setChecked(self._layer is not None and bool(self._layer.visible))
        if self._layer is not None:
            self.slider.setValue(round(100 * self._layer.opacity))
        for widget in (self.box, self.slider):
            widget.blockSignals(False)
