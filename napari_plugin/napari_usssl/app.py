"""`usssl review`: starts napari with the panel open."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from usssl.bundle.metadata import read_metadata
from usssl.errors import UsageError

if TYPE_CHECKING:
    from napari.viewer import Viewer


def review(folder: Path | None = None, bundle: Path | None = None) -> None:
    """Opens napari with the panel, and waits until its window closes.

    Args:
        folder: cines to go through, or one cine.
        bundle: the bundle to run.

    Raises:
        UsageError: napari is not installed, Qt cannot run here, or one of the paths does not exist.
        BundleError: the folder is no bundle.
    """
    import napari

    open_window(folder, bundle)
    napari.run()


def open_window(folder: Path | None = None, bundle: Path | None = None) -> Viewer:
    """Opens the window without waiting; the arguments are those of `review`.

    Raises:
        UsageError: as `review`.
        BundleError: as `review`.
    """
    for path in (folder, bundle):
        if path is not None and not path.exists():
            raise UsageError(f"there is no file or folder {path}; check the path")
    if bundle is not None:
        read_metadata(bundle)
    _check_display()
    try:
        import napari

        from napari_usssl.panel import ReviewPanel, start
    except ImportError as error:
        raise UsageError(
            f"the review needs napari and a Qt binding ({error.name or error} is missing); "
            "install them with: pip install 'usssl[napari]' PySide6"
        ) from None
    _check_binding()
    viewer = napari.Viewer(title="usssl review")
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="usssl review", area="right")
    start(panel, folder, bundle)
    return viewer


def _check_display() -> None:
    """Says in a sentence what Qt says by ending the process."""
    wanted = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in wanted):
        raise UsageError("there is no display to open a window on; run it on a desktop, or under xvfb-run")


def _check_binding() -> None:
    """Refuses the one version of PySide6 that ends the process after some minutes.

    PySide6 6.12.0 takes `None` and `True` for immortal, which they are from Python 3.12 on. On 3.11 each call that
    returns one takes a reference away, until the interpreter aborts ("none_dealloc").
    """
    from qtpy import API_NAME, QT_VERSION

    if API_NAME == "PySide6" and QT_VERSION == "6.12.0" and sys.version_info < (3, 12):
        raise UsageError(
            "PySide6 6.12.0 crashes on Python 3.11; install another: pip install 'PySide6-Essentials<6.12'"
        )
