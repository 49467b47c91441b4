"""The panel in a real napari window."""

from __future__ import annotations

import gc
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.napari.conftest import DARK_UNTIL, FRAMES, stepped_frames
from usssl.cine import open_cine, write_video

pytestmark = pytest.mark.gui

Until = Callable[..., None]


@pytest.fixture
def opened(panel: Any, video: Path, until: Until) -> Any:
    """The panel with the H.264 cine."""
    panel.cine_box.open_file(video)
    until(lambda: panel.link.frames is not None)
    return panel


@pytest.fixture
def done(opened: Any, bundle: Path, until: Until) -> Any:
    """The panel after a run of the tiny bundle."""
    opened.bundle_box.open(bundle)
    until(lambda: opened.run_box.button.isEnabled())
    opened.run_box.button.click()
    until(lambda: opened.prediction is not None)
    return opened


def slow_down(monkeypatch: pytest.MonkeyPatch, panel: Any, seconds: float = 0.05) -> threading.Event:
    """Makes each call of the model slow; the event tells that one has begun."""
    began = threading.Event()
    session = panel.bundle_box.bundle.session
    run = session.run

    def slowly(*args: Any) -> Any:
        began.set()
        threading.Event().wait(seconds)
        return run(*args)

    monkeypatch.setattr(type(session), "run", lambda self, *args: slowly(*args))
    return began


def test_a_video_opens_lazily_and_unnamed(opened: Any, video: Path) -> None:
    (layer,) = opened.viewer.layers
    with open_cine(video) as cine:
        assert layer.name == f"cine {cine.id[:8]}"
        assert layer.data.shape == cine.shape == (FRAMES, 48, 64, 3)
        opened.link.seek(41)
        np.testing.assert_array_equal(np.asarray(layer.data[opened.link.frame]), cine[41])
    assert "60 frames · 3.00 s · 20 frames/s" in opened.cine_box.facts.text()
    shown = [layer.name, layer.get_source_str(), opened.cine_box.facts.text(), opened.viewer.title]
    assert not any("DOE" in text for text in shown)
    opened.cine_box.names.setChecked(True)
    opened.cine_box.show_facts(opened.link.frames)
    assert "DOE_JANE.mp4" in opened.cine_box.facts.text()


def test_a_dicom_cine_opens_in_millimetres(panel: Any, dicom: Path, until: Until) -> None:
    panel.cine_box.open_file(dicom)
    until(lambda: panel.link.frames is not None)
    (layer,) = panel.viewer.layers
    assert tuple(layer.scale) == pytest.approx((1, 0.5, 0.25))
    assert "0.25 mm/pixel" in panel.cine_box.facts.text()
    np.testing.assert_array_equal(layer.data[7], stepped_frames(20)[7])


def test_a_run_fills_timeline_list_and_overlay(done: Any) -> None:
    probs = done.prediction.plane_probs
    assert (probs[:DARK_UNTIL, 1] > 0.5).all()
    assert (probs[DARK_UNTIL:, 2] > 0.5).all()
    names = [done.best_list.item(row, 0).text() for row in range(done.best_list.rowCount())]
    assert names == ["dark", "bright"]
    cine, saliency = done.viewer.layers
    assert saliency.data.shape == (FRAMES, 12, 16)
    assert np.allclose(saliency.extent.world[:, 1:], cine.extent.world[:, 1:], atol=4)
    assert done.viewer.layers.selection.active is cine
    assert done.message.text().startswith("Done: 60 frames in")
    assert not done.run_box.bar.isVisible()


def test_a_click_on_the_best_list_seeks(done: Any) -> None:
    best = done.prediction.best_frames()["bright"][0]
    done.best_list.cellClicked.emit(1, 0)
    assert done.viewer.dims.current_step[0] == best == FRAMES - 1


def test_click_and_drag_on_the_timeline_seek(done: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint, Qt

    timeline = done.time_panel.timeline
    timeline.repaint()
    for frame in (12, 50):
        place = QPoint(round(timeline.axis.x(frame)), 40)
        qtbot.mousePress(timeline, Qt.MouseButton.LeftButton, pos=place)
        assert done.viewer.dims.current_step[0] == frame
        assert done.time_panel.player.place.text().startswith(f"frame {frame} / 59")


def test_the_slider_moves_the_cursor_and_keys_step(done: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    timeline = done.time_panel.timeline
    done.viewer.dims.set_current_step(0, 33)
    assert timeline.frame == 33
    keys = Qt.Key
    for key, frame in ((keys.Key_Right, 34), (keys.Key_Left, 33), (keys.Key_Home, 0), (keys.Key_End, 59)):
        qtbot.keyClick(timeline, key)
        assert done.viewer.dims.current_step[0] == timeline.frame == frame
    qtbot.keyClick(timeline, keys.Key_Right)
    assert timeline.frame == 59


def test_the_pointer_tells_plane_probability_and_time(done: Any) -> None:
    timeline = done.time_panel.timeline
    timeline.repaint()
    lane = timeline.height() / 2  # the middle of three lanes
    text = timeline.hover_text(timeline.axis.x(5), lane - 12)
    assert text.startswith(f"dark {done.prediction.plane_probs[5, 1]:.2f}\nframe 5 / 59 · 0.25 s")
    assert "best: " in text


def test_the_row_below_names_the_plane_or_the_damage(done: Any) -> None:
    note = done.time_panel.player.note
    done.link.seek(45)
    assert note.text() == f"bright {done.prediction.plane_probs[45, 2]:.2f}"
    done.link.frames.damage[46] = "its data end early"
    done.link.seek(46)
    assert note.text() == "This frame is damaged and shown black: its data end early"


def test_the_wheel_zooms_the_timeline(done: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    timeline = done.time_panel.timeline
    timeline.repaint()
    x = timeline.axis.x(30)
    before = timeline.axis.frame(x)
    timeline._axis = timeline.axis.zoomed(4, x)
    timeline.repaint()
    assert timeline.axis.frame(x) == before
    assert len(timeline.axis.visible()) <= 17
    qtbot.mouseDClick(timeline, Qt.MouseButton.LeftButton)
    assert len(timeline.axis.visible()) == FRAMES


def test_the_cursor_and_the_curves_are_painted(done: Any) -> None:
    timeline = done.time_panel.timeline
    done.viewer.dims.set_current_step(0, 20)
    pixels = grab(timeline)
    x = round(timeline.axis.x(20))
    line = pixels[20 : timeline.height() - 30, x - 1 : x + 1]
    assert line.min() > 200  # the white cursor
    orange = np.abs(pixels.astype(int) - (0xE6, 0x9F, 0x00)).max(axis=-1) < 24
    assert orange[:, round(timeline.axis.x(5)) : round(timeline.axis.x(25))].any()


def grab(widget: Any) -> np.ndarray:
    """What a widget looks like, (height, width, 3)."""
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def test_saliency_toggles_fades_and_comes_back(done: Any) -> None:
    box, slider = done.overlay.box, done.overlay.slider
    layer = done.overlay.layer
    assert box.isChecked()
    box.click()
    assert not layer.visible
    layer.visible = True
    assert box.isChecked()
    slider.setValue(25)
    assert layer.opacity == pytest.approx(0.25)
    layer.opacity = 0.8
    assert slider.value() == 80
    done.viewer.layers.remove(layer)
    done._look_at_cine()
    assert not box.isChecked()
    box.click()
    assert [one.name.split()[0] for one in done.viewer.layers] == ["cine", "saliency"]


def test_the_overlay_is_brighter_where_the_map_is(done: Any) -> None:
    """In the bright half of the cine everything is as salient, so the whole window brightens with the overlay."""
    done.viewer.layers[0].visible = False
    done.link.seek(40)
    with_map = done.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    done.overlay.box.click()
    without = done.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    assert with_map.mean() > without.mean() + 2


def test_cancel_stops_soon(
    opened: Any, bundle: Path, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = write_video(tmp_path / "long.mp4", stepped_frames(600), 20.0)
    opened.cine_box.open_file(long)
    opened.bundle_box.open(bundle)
    until(lambda: opened.run_box.button.isEnabled() and opened.link.frames.shape[0] == 600)
    began = slow_down(monkeypatch, opened, seconds=0.2)
    opened.run_box.button.click()
    until(began.is_set)
    assert opened.run_box.cancel.isVisible()
    opened.run_box.cancel.click()
    until(lambda: not opened.run_box.job.is_running, seconds=5)
    assert opened.prediction is None
    assert opened.message.text() == "Cancelled; nothing was kept."
    assert opened.run_box.button.isVisible()


def test_the_window_lives_while_a_bundle_runs(
    opened: Any, bundle: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.bundle_box.open(bundle)
    until(lambda: opened.run_box.button.isEnabled())
    began = slow_down(monkeypatch, opened, seconds=0.3)
    opened.run_box.button.click()
    until(began.is_set)
    opened.link.seek(17)
    assert opened.time_panel.timeline.frame == 17
    assert opened.run_box.job.is_running
    until(lambda: opened.prediction is not None)


@pytest.mark.parametrize("content", [b"", b"not a cine", b"\x00\x00\x00\x18ftypmp42" + bytes(200)])
def test_a_broken_file_gives_one_sentence(panel: Any, until: Until, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "DOE_JANE.mp4"
    path.write_bytes(content)
    panel.cine_box.open_file(path)
    until(lambda: bool(panel.message.text()))
    text = panel.message.text()
    assert text.startswith("Cannot read the file: ")
    assert "\n" not in text
    assert "DOE" not in text
    assert len(panel.viewer.layers) == 0
    assert_no_notification()


def test_a_wrong_bundle_gives_one_sentence(opened: Any, bundle: Path, until: Until, tmp_path: Path) -> None:
    for folder, words in (
        (tmp_path, "is not a bundle"),
        (tmp_path / "none", "does not exist"),
        (bundle / "models", "not a bundle"),
    ):
        opened.bundle_box.open(folder)
        until(lambda: not opened.bundle_box.job.is_running)
        assert words in opened.message.text().replace("\u200b", "")
        assert not opened.run_box.button.isEnabled()
    opened.bundle_box.open(bundle)
    until(lambda: opened.run_box.button.isEnabled())
    assert opened.message.text() == ""
    assert_no_notification()


def test_a_failing_model_gives_one_sentence(
    opened: Any, bundle: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.bundle_box.open(bundle)
    until(lambda: opened.run_box.button.isEnabled())
    monkeypatch.setattr(type(opened.bundle_box.bundle.session), "run", lambda *_: 1 / 0)
    opened.run_box.button.click()
    until(lambda: not opened.run_box.job.is_running)
    assert opened.message.text() == "ZeroDivisionError: division by zero"
    assert_no_notification()


def assert_no_notification() -> None:
    from napari.utils.notifications import NotificationSeverity, notification_manager

    assert not [r for r in notification_manager.records if r.severity >= NotificationSeverity.WARNING]


@pytest.fixture(autouse=True)
def _forget_notifications() -> None:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()


def test_closing_during_a_run_is_clean(
    make_napari_viewer: Any, video: Path, bundle: Path, until: Until, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from napari_usssl.panel import ReviewPanel

    viewer = make_napari_viewer(show=True)
    panel = ReviewPanel(viewer)
    dock = viewer.window.add_dock_widget(panel, name="usssl review")
    panel.cine_box.open_file(video)
    panel.bundle_box.open(bundle)
    until(lambda: panel.run_box.button.isEnabled())
    began = slow_down(monkeypatch, panel, seconds=0.3)
    panel.run_box.button.click()
    until(began.is_set)
    stopped = panel.run_box.job._stop
    with qtbot.captureExceptions() as exceptions:
        dock.destroyOnClose()
        assert stopped.is_set()
        assert panel.time_panel.parent() is None
        viewer.dims.set_current_step(0, 5)
        viewer.layers.clear()
        qtbot.wait(500)
    assert exceptions == []


def test_closing_the_window_during_a_run_stops_it(
    make_napari_viewer: Any, video: Path, bundle: Path, until: Until, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from napari_usssl.panel import ReviewPanel

    viewer = make_napari_viewer(show=True)
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="usssl review")
    panel.cine_box.open_file(video)
    panel.bundle_box.open(bundle)
    until(lambda: panel.run_box.button.isEnabled())
    began = slow_down(monkeypatch, panel, seconds=0.3)
    ended = threading.Event()
    monkeypatch.setattr("napari_usssl.run_box.predict", _telling(ended))
    panel.run_box.button.click()
    until(began.is_set)
    with qtbot.captureExceptions() as exceptions:
        viewer.close()
        qtbot.waitUntil(ended.is_set, timeout=20_000)
        qtbot.wait(100)
    assert exceptions == []


def _telling(ended: threading.Event) -> Any:
    from napari_usssl.predicting import predict

    def told(*args: Any) -> Any:
        try:
            return predict(*args)
        finally:
            ended.set()

    return told


def test_a_folder_is_gone_through(panel: Any, until: Until, tmp_path: Path, bundle: Path) -> None:
    for number, frames in ((2, 10), (10, 12), (1, 8)):
        write_video(tmp_path / f"DOE_{number}.mp4", stepped_frames(frames), 20.0)
    (tmp_path / "DOE_11.mp4").write_bytes(b"broken")
    (tmp_path / "notes.txt").write_text("no cine")
    box = panel.cine_box
    box.open_folder(tmp_path)
    for frames in (8, 10, 12):
        until(lambda n=frames: panel.link.frames is not None and panel.link.frames.shape[0] == n)
        assert len(panel.viewer.layers) == 1
        assert panel.time_panel.timeline.axis.frames == frames
        box.on.click()
    until(lambda: bool(panel.message.text()))
    assert panel.message.text().startswith("Cannot read cine 4 of 4: ")
    assert not box.on.isEnabled()
    assert [box.list.itemText(i) for i in range(4)] == [f"cine {i} of 4" for i in range(1, 5)]
    box.back.click()
    until(lambda: not panel.message.text() and not box.job.is_running)
    box.open_folder(tmp_path / "none")
    assert "there is no folder" in panel.message.text().lower()


def test_going_back_to_a_cine_finds_its_prediction(done: Any, dicom: Path, until: Until, video: Path) -> None:
    done.cine_box.open_file(dicom)
    until(lambda: done.link.frames.shape[0] == 20)
    assert done.prediction is None
    assert done.best_list.rowCount() == 0
    assert [layer.name.split()[0] for layer in done.viewer.layers] == ["cine"]
    done.cine_box.open_file(video)
    until(lambda: done.link.frames.shape[0] == FRAMES)
    assert done.prediction is not None
    done.overlay.box.click()
    assert len(done.viewer.layers) == 2


def test_playing_moves_the_slider_and_loops(opened: Any, until: Until) -> None:
    player = opened.time_panel.player
    player.pace.setCurrentIndex(3)
    opened.link.seek(50)
    player.button.click()
    seen: set[int] = set()
    opened.link.frame_changed.connect(seen.add)
    until(lambda: any(n > 52 for n in seen) and any(n < 45 for n in seen))
    player.button.click()
    assert not player.is_playing
    stopped_at = opened.link.frame
    assert opened.time_panel.timeline.frame == stopped_at


def test_the_plugin_opens_as_napari_opens_plugins(
    make_napari_viewer: Any, video: Path, dicom: Path, until: Until
) -> None:
    viewer = make_napari_viewer(show=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # what napari says to plugins that use its private parts
        viewer.open(video, plugin="usssl")
        _, panel = viewer.window.add_plugin_dock_widget("usssl", "usssl review")
        until(lambda: panel.link.frames is not None)
        panel.time_panel.timeline.seeked.emit(9)
    assert viewer.dims.current_step[0] == 9
    assert viewer.layers[0].name == f"cine {viewer.layers[0].data.cine.id[:8]}"
    assert not viewer.layers[0].source.path or "DOE" not in viewer.layers[0].name
    panel.leave()
    viewer.layers[0].data.close()


def test_the_reader_tells_of_a_broken_file_in_one_sentence(make_napari_viewer: Any, tmp_path: Path) -> None:
    from napari.utils.notifications import notification_manager

    path = tmp_path / "broken.mp4"
    path.write_bytes(b"nothing")
    viewer = make_napari_viewer(show=True)
    assert viewer.open(path, plugin="usssl") == []
    told = [record.message for record in notification_manager.records]
    assert len(told) == 1
    assert told[0].startswith("Cannot read the file: ")


def test_the_panel_says_what_it_is_not(panel: Any) -> None:
    from qtpy.QtWidgets import QLabel

    texts = [label.text() for label in panel.findChildren(QLabel)]
    assert "For research use, not a medical device." in texts


def test_pictures(done: Any, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Saves the window; `USSSL_PICTURES=folder` keeps the picture for a person to look at."""
    from tests.napari.pictures import picture_folder, save_window

    path = save_window(done.viewer, picture_folder(tmp_path) / "napari_test.png")
    assert path.stat().st_size > 20_000
    assert json.dumps(str(path))
    gc.collect()
