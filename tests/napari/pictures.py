"""Pictures of the window: for the documentation, and for a person to look at after the tests.

python -m tests.napari.pictures CINE BUNDLE OUT.png [PLANE]
runs the bundle over the cine and saves the window at the best frame of that plane, or of the plane found most surely.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = (1400, 900)
PATIENCE_S = 600.0


def picture_folder(default: Path) -> Path:
    """The folder that `USSSL_PICTURES` names, or the default."""
    folder = Path(os.environ.get("USSSL_PICTURES", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_window(viewer: Any, path: Path) -> Path:
    """Saves the whole window as a PNG."""
    settle(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    return path


def settle(seconds: float) -> None:
    """Lets the window draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(condition: Callable[[], bool]) -> None:
    """Lets the window live until something has happened."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there in time")
        QApplication.processEvents()
        time.sleep(0.01)


def take(cine: Path, bundle: Path, out: Path, plane: str | None = None) -> None:
    """Opens the window, runs the bundle, and saves the picture."""
    from napari_usssl.app import open_window
    from napari_usssl.panel import ReviewPanel
    from qtpy.QtWidgets import QApplication

    viewer = open_window(cine, bundle)
    viewer.window.resize(*SIZE)
    panel = next(widget for widget in QApplication.allWidgets() if isinstance(widget, ReviewPanel))
    wait(panel.run_box.button.isEnabled)
    panel.run()
    wait(lambda: panel.prediction is not None)
    best = panel.prediction.best_frames()
    name = plane or max(best, key=lambda one: best[one][1])
    panel.link.seek(best[name][0])
    settle(2.0)
    save_window(viewer, out)
    viewer.close()


if __name__ == "__main__":
    take(*(Path(argument) for argument in sys.argv[1:4]), *sys.argv[4:5])
