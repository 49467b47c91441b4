"""Cines and bundles for the tests of the plugin, and a real window for those marked gui."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import make_tiny_bundle
from usssl.cine import write_dicom, write_video

FRAMES, HEIGHT, WIDTH, FPS = 60, 48, 64, 20.0
DARK_UNTIL = 30


def stepped_frames(frames: int = FRAMES) -> np.ndarray:
    """Grey frames (T, 48, 64) that tell their number: dark ones, then bright ones, each a level brighter."""
    number = np.arange(frames)
    level = np.where(number < frames // 2, 20 + number, 190 + number - frames // 2)
    cine = np.broadcast_to(level[:, None, None], (frames, HEIGHT, WIDTH)).astype(np.uint8)
    return np.ascontiguousarray(cine)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An H.264 cine with one key frame."""
    return write_video(tmp_path_factory.mktemp("video") / "DOE_JANE.mp4", stepped_frames(), FPS, gop=250)


@pytest.fixture(scope="session")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM cine of a named patient, with a spacing, in a file without extension."""
    path = tmp_path_factory.mktemp("dicom") / "IM_0001"
    frames = stepped_frames(20)
    return write_dicom(
        path, frames, FPS, spacing_mm=(0.5, 0.25), patient_name="DOE^JANE", patient_id="4711", transfer_syntax="native"
    )


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle: it tells dark frames from bright ones."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def why_no_window() -> str | None:
    """A sentence on why no window can be opened here, or None."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display: run under xvfb-run -a"
    if os.environ.get("QT_QPA_PLATFORM") in ("offscreen", "minimal"):
        return "these tests need a real window, and QT_QPA_PLATFORM asks for none"
    for module in ("napari", "qtpy", "PySide6", "pytestqt"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    from napari_usssl.app import _check_binding

    from usssl.errors import UsageError

    try:
        _check_binding()
    except UsageError as error:
        return str(error)
    return None


@pytest.fixture
def until(qtbot: Any) -> Callable[..., None]:
    """Waits for a condition while the window lives."""

    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        qtbot.waitUntil(condition, timeout=round(1000 * seconds))

    return wait


@pytest.fixture
def panel(make_napari_viewer: Any, qtbot: Any) -> Iterator[Any]:
    """The panel, docked in a real napari window."""
    from napari_usssl.panel import ReviewPanel

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 750)
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="usssl review", area="right")
    yield panel
    panel.leave()
    for layer in list(viewer.layers):
        if hasattr(layer.data, "close"):
            layer.data.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gui") and (reason := why_no_window()):
        pytest.skip(reason)
