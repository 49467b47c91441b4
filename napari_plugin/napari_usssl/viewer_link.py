"""Ties the panel to the viewer: which cine is looked at, at which frame, both ways. Public napari API only."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal

from napari_usssl.frames import CineFrames

_AXES = 3


class ViewerLink(QObject):
    """Follows the cine that is selected in the layer list, else the one that was looked at last.

    Attributes:
        cine_changed: another cine is looked at, or none; ask `layer`.
        frame_changed: the slider stands at this frame of that cine.
    """

    cine_changed = Signal()
    frame_changed = Signal(int)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._layer: Image | None = None
        self._frame = -1
        self._connected = True
        viewer.layers.selection.events.active.connect(self._choose)
        viewer.layers.events.removed.connect(self._choose)
        viewer.dims.events.point.connect(self._follow)
        self._choose()

    @property
    def layer(self) -> Image | None:
        """The layer of the cine that is looked at."""
        return self._layer

    @property
    def frames(self) -> CineFrames | None:
        """Its frames."""
        return self._layer.data if self._layer is not None else None

    @property
    def frame(self) -> int:
        """The frame at which the slider stands, the nearest one where it stands past an end."""
        if self._layer is None:
            return 0
        axis = self.viewer.dims.ndim - _AXES
        step = (self.viewer.dims.point[axis] - self._layer.translate[0]) / self._layer.scale[0]
        return int(min(max(round(step), 0), self._layer.data.shape[0] - 1))

    def seek(self, frame: int) -> None:
        """Moves the viewer's slider to a frame of the cine."""
        if self._layer is not None:
            axis = self.viewer.dims.ndim - _AXES
            self.viewer.dims.set_point(axis, frame * self._layer.scale[0] + self._layer.translate[0])

    def layer_of(self, key: str, value: Any) -> Image | None:
        """The layer whose usssl record has this value, or None."""
        for layer in self.viewer.layers:
            if layer.metadata.get("usssl", {}).get(key) == value:
                return layer
        return None

    def disconnect(self) -> None:
        """Stops following."""
        if self._connected:
            self.viewer.layers.selection.events.active.disconnect(self._choose)
            self.viewer.layers.events.removed.disconnect(self._choose)
            self.viewer.dims.events.point.disconnect(self._follow)
            self._connected = False

    def _choose(self, event: Any = None) -> None:
        cines = [layer for layer in self.viewer.layers if isinstance(layer.data, CineFrames)]
        active = self.viewer.layers.selection.active
        chosen = self._layer if self._layer in cines else (cines[-1] if cines else None)
        if active in cines:
            chosen = active
        if chosen is not self._layer:
            self._layer, self._frame = chosen, -1
            self.cine_changed.emit()
            self._follow()

    def _follow(self, event: Any = None) -> None:
        frame = self.frame
        if frame != self._frame:
            self._frame = frame
            self.frame_changed.emit(frame)
