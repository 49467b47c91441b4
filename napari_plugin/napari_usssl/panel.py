"""The panel "usssl review": open a cine, run a bundle over it, and look at what it says."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_usssl.best_list import BestList
from napari_usssl.bundle_box import BundleBox
from napari_usssl.cine_box import CineBox
from napari_usssl.frames import CineFrames
from napari_usssl.layers import LayerData, best_frames, saliency_layer
from napari_usssl.overlay_controls import OverlayControls
from napari_usssl.palette import class_colors
from napari_usssl.run_box import RunBox
from napari_usssl.time_panel import TimePanel
from napari_usssl.viewer_link import ViewerLink
from napari_usssl.wording import FOOTER, breakable, problem, run_report, top_class
from usssl.bundle import Bundle, Prediction

# Predictions of the cines looked at last are kept, so that going back to one costs nothing.
_KEPT = 16
_ERROR_ON_DARK, _ERROR_ON_LIGHT = "#ff9d8a", "#a3231b"


class ReviewPanel(QWidget):
    """Stacks the small widgets of the plugin and passes on what they say. The timeline docks below the image."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # napari gives plugins a proxy whose layers are never the same object twice; nothing private is used here.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._predictions: OrderedDict[tuple[str, str], Prediction] = OrderedDict()
        self._running: tuple[str, str] | None = None
        self._own_layer: Image | None = None
        self.link = ViewerLink(self.viewer, self)
        self.cine_box = CineBox()
        self.bundle_box = BundleBox()
        self.run_box = RunBox()
        self.best_list = BestList()
        self.overlay = OverlayControls()
        self.time_panel = TimePanel()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._lay_out()
        self._connect()
        self._dock_timeline()
        self._look_at_cine()

    @property
    def prediction(self) -> Prediction | None:
        """What the chosen bundle says of the cine that is looked at, once it was run."""
        key = self._key()
        return self._predictions.get(key) if key else None

    def say(self, text: str, is_error: bool = False) -> None:
        """Shows one sentence below the buttons, or nothing."""
        self.message.setText(breakable(text))
        color = _ERROR_ON_LIGHT if "light" in str(self.viewer.theme) else _ERROR_ON_DARK
        self.message.setStyleSheet(f"color: {color};" if is_error else "")
        self.message.setVisible(bool(text))

    def run(self) -> None:
        """Runs the bundle over the cine that is looked at."""
        key, frames, bundle = self._key(), self.link.frames, self.bundle_box.bundle
        if key is None or frames is None or bundle is None:
            return
        self.say("")
        self._running = key
        self.run_box.start(frames.path, bundle)

    def leave(self) -> None:
        """Stops all work and lets go of the viewer; the panel is closed."""
        for box in (self.cine_box, self.bundle_box, self.run_box):
            box.job.drop()
        self.time_panel.player.button.setChecked(False)
        self.overlay.control(None, available=False)
        self.link.disconnect()
        if self.time_panel.parent() is not None:
            self.viewer.window.remove_dock_widget(self.time_panel)

    def event(self, event: QEvent) -> bool:
        """Notices that napari took the panel out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.leave()
        return super().event(event)

    def _add_cine(self, layer_data: LayerData) -> None:
        """Shows a cine that the panel opened, in place of the last one that it opened."""
        data, arguments, _ = layer_data
        if self._own_layer is not None and self._own_layer in self.viewer.layers:
            self._remove(self._own_layer)
        self._own_layer = self.viewer.add_image(data, **arguments)
        self.viewer.layers.selection.active = self._own_layer
        self.link.seek(0)

    def _remove(self, layer: Image) -> None:
        saliency = self.link.layer_of("saliency_of", layer.metadata["usssl"]["cine"])
        for one in (saliency, layer):
            if one is not None:
                self.viewer.layers.remove(one)
        if isinstance(layer.data, CineFrames):
            layer.data.close()

    def _look_at_cine(self) -> None:
        """Shows what is known of the cine that is looked at now."""
        frames = self.link.frames
        self.cine_box.show_facts(frames)
        self.time_panel.show_cine(frames.cine.times if frames is not None else ())
        self._show_prediction()
        self._update_run()

    def _show_prediction(self) -> None:
        prediction = self.prediction
        self.time_panel.timeline.show_prediction(prediction)
        best = best_frames(prediction) if prediction is not None else []
        self.best_list.show_best(best, class_colors(prediction.classes) if prediction is not None else ())
        if self.link.frames is not None:
            self._dock_timeline()
        self._show_saliency()
        self._follow(self.link.frame)

    def _show_saliency(self) -> None:
        prediction, key = self.prediction, self._key()
        cine_id = key[0] if key else None
        available = prediction is not None and prediction.saliency is not None
        layer = self.link.layer_of("saliency_of", cine_id) if cine_id else None
        self.overlay.control(layer, available)

    def _add_saliency(self) -> None:
        prediction, frames, layer = self.prediction, self.link.frames, self.link.layer
        if prediction is None or prediction.saliency is None or frames is None or layer is None:
            return
        cine = frames.cine
        data, arguments, _ = saliency_layer(prediction, cine.id, cine.spacing_mm, self.overlay.opacity)
        added = self.viewer.add_image(data, **arguments)
        self.viewer.layers.selection.active = layer
        self.overlay.control(added, available=True)

    def _take(self, prediction: Prediction) -> None:
        assert self._running is not None
        self._predictions[self._running] = prediction
        while len(self._predictions) > _KEPT:
            self._predictions.popitem(last=False)
        old = self.link.layer_of("saliency_of", self._running[0])
        if old is not None:
            self.viewer.layers.remove(old)
        if self._running == self._key():
            self._show_prediction()
            self._add_saliency()
        self.say(run_report(prediction, self.run_box.seconds))

    def _key(self) -> tuple[str, str] | None:
        frames, bundle = self.link.frames, self.bundle_box.bundle
        if frames is None or bundle is None:
            return None
        return frames.cine.id, bundle.metadata.usssl.sha256

    def _update_run(self) -> None:
        frames, bundle = self.link.frames, self.bundle_box.bundle
        lacks = [name for name, one in (("open a cine", frames), ("choose a bundle", bundle)) if one is None]
        self.run_box.set_ready(not lacks, f"First {' and '.join(lacks)}" if lacks else "")

    def _follow(self, frame: int) -> None:
        self.time_panel.set_frame(frame)
        frames = self.link.frames
        reason = frames.damage.get(frame) if frames is not None else None
        damaged = f"This frame is damaged and shown black: {reason}" if reason else ""
        self.time_panel.player.say(damaged or top_class(self.prediction, frame))

    def _use_bundle(self, bundle: Bundle | None = None) -> None:
        self._show_prediction()
        self._update_run()

    def _fail(self, error: Exception) -> None:
        self.say(problem(error, "the cine"), is_error=True)

    def _dock_timeline(self) -> None:
        if self.time_panel.parent() is None:
            self.viewer.window.add_dock_widget(self.time_panel, name="usssl timeline", area="bottom")

    def _connect(self) -> None:
        self.link.cine_changed.connect(self._look_at_cine)
        self.link.frame_changed.connect(self._follow)
        self.time_panel.seeked.connect(self.link.seek)
        self.best_list.chosen.connect(self.link.seek)
        self.cine_box.opened.connect(self._add_cine)
        self.bundle_box.changed.connect(self._use_bundle)
        for box in (self.cine_box, self.bundle_box):
            box.failed.connect(self._say_failed)
        self.run_box.asked.connect(self.run)
        self.run_box.done.connect(self._take)
        self.run_box.failed.connect(self._fail)
        self.run_box.stopped.connect(self._say_stopped)
        self.overlay.asked.connect(self._add_saliency)

    def _say_failed(self, text: str) -> None:
        self.say(text, is_error=True)

    def _say_stopped(self) -> None:
        self.say("Cancelled; nothing was kept.")

    def _lay_out(self) -> None:
        footer = QLabel(FOOTER)
        footer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        parts: tuple[tuple[str, tuple[QWidget, ...]], ...] = (
            ("Cine", (self.cine_box,)),
            ("Model", (self.bundle_box, self.run_box, self.message)),
            ("Best frames", (self.best_list,)),
            ("Saliency", (self.overlay,)),
        )
        for title, widgets in parts:
            heading = QLabel(title)
            heading.setStyleSheet("font-weight: 600; margin-top: 6px;")
            layout.addWidget(heading)
            for widget in widgets:
                layout.addWidget(widget)
        layout.addStretch(1)
        layout.addWidget(footer)
        self.setMinimumWidth(300)
        self.say("")


def start(panel: ReviewPanel, folder: Path | None, bundle: Path | None) -> None:
    """Opens what was named on the command line."""
    if bundle is not None:
        panel.bundle_box.open(bundle)
    if folder is not None:
        (panel.cine_box.open_folder if folder.is_dir() else panel.cine_box.open_file)(folder)
