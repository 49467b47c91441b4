"""Pictures of the window for documentation, and for a person to look at after the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def picture_folder(default: Path) -> Path:
    """The folder that `USSSL_PICTURES` names, or the default."""
    folder = Path(os.environ.get("USSSL_PICTURES", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_window(viewer: Any, path: Path) -> Path:
    """Saves the whole window as a PNG."""
    from qtpy.QtWidgets import QApplication

    for _ in range(20):
        QApplication.processEvents()
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    return path
