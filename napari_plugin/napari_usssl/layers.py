"""Turns cines and predictions into napari layers and into what the panel lists. Pure functions, no Qt.

A layer is napari's layer data tuple: (data, arguments, type). Axes are (frame, y, x): a frame is a step of 1, y and x
are in mm where the spacing is known, else in pixels. napari places the centre of the first pixel at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_usssl.frames import CineFrames
    from usssl.bundle import Prediction

LayerData = tuple[Any, dict[str, Any], str]
Spacing = tuple[float, float] | None

OPACITY = 0.6
_AXES = ("frame", "y", "x")
_SHORT_ID = 8
# One hue that only brightens: added to grey speckle, maps of many hues such as inferno turn olive at their peak.
_GLOW = ((0.0, 0.0, 0.0), (0.6, 0.08, 0.0), (1.0, 0.45, 0.0), (1.0, 0.85, 0.3))
# The brightest twentieth of the maps' peaks may clip, so that one sharp map does not dim all the others.
_CLIPPED_PEAKS = 95.0


@dataclass(frozen=True)
class BestFrame:
    """The frame at which a plane is most probable.

    Attributes:
        plane: name of the class.
        column: its column in `Prediction.plane_probs`.
        frame: the frame, from 0.
        seconds: its time, NaN where the cine has no clock.
        probability: at that frame, 0 to 1.
        is_top: the plane is the most probable of all classes at that frame.
    """

    plane: str
    column: int
    frame: int
    seconds: float
    probability: float
    is_top: bool


def short_name(cine_id: str) -> str:
    """What a cine is called on the screen: a part of its content hash, since file names may name the patient."""
    return f"cine {cine_id[:_SHORT_ID]}"


def cine_layer(frames: CineFrames) -> LayerData:
    """The image layer of a cine, named by its content and not by its file.

    Raises:
        CineError: if the file cannot be read any more.
    """
    cine = frames.cine
    arguments = {
        "name": short_name(cine.id),
        "rgb": frames.ndim == 4,
        "contrast_limits": (0, 255),
        "interpolation2d": "linear",
        "metadata": {"usssl": {"cine": cine.id, "fps": cine.fps}},
        **_axes(cine.spacing_mm),
        "scale": (1.0, *(cine.spacing_mm or (1.0, 1.0))),
    }
    return frames, arguments, "image"


def saliency_layer(prediction: Prediction, cine_id: str, spacing_mm: Spacing, opacity: float = OPACITY) -> LayerData:
    """The image layer of the saliency maps, laid over the rectangle of the frame that the model saw.

    Args:
        prediction: one that has saliency maps, (T, h, w).
        cine_id: the cine's id.
        spacing_mm: (row, column) spacing of the cine.
        opacity: 0 to 1.
    """
    maps = prediction.saliency
    if maps is None:
        raise ValueError("the prediction has no saliency maps")
    scale, translate = placement(prediction.window, (maps.shape[1], maps.shape[2]), spacing_mm)
    arguments = {
        "name": f"saliency of {short_name(cine_id)}",
        "rgb": False,
        "colormap": {"name": "usssl saliency", "colors": _GLOW},
        "blending": "additive",
        "opacity": opacity,
        "contrast_limits": saliency_limits(maps),
        "interpolation2d": "linear",
        "metadata": {"usssl": {"saliency_of": cine_id}},
        **_axes(spacing_mm),
        "scale": (1.0, *scale),
        "translate": (0.0, *translate),
    }
    return maps, arguments, "image"


def placement(
    window: tuple[float, float, float, float], size: tuple[int, int], spacing_mm: Spacing
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and translation (y, x) that lay a map over a window of the frame.

    Args:
        window: (x0, y0, x1, y1) in pixels of the frame; pixel edges, so that the whole frame is (0, 0, width, height).
        size: height and width of the map.
        spacing_mm: (row, column) spacing of the cine.
    """
    x0, y0, x1, y1 = window
    row, column = spacing_mm or (1.0, 1.0)
    cell_y, cell_x = (y1 - y0) / size[0], (x1 - x0) / size[1]
    # The first cell's centre is half a cell from the window's edge, and pixel 0's half a pixel from the frame's.
    return (cell_y * row, cell_x * column), ((y0 + cell_y / 2 - 0.5) * row, (x0 + cell_x / 2 - 0.5) * column)


def saliency_limits(maps: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Contrast limits that show the maps (T, h, w) of one cine on one scale."""
    peaks = maps.reshape(len(maps), -1).max(axis=1)
    top = float(np.percentile(peaks, _CLIPPED_PEAKS))
    return 0.0, top if np.isfinite(top) and top > 0 else 1.0


def best_frames(prediction: Prediction) -> list[BestFrame]:
    """The best frame of each plane, in the order of the classes; none where the bundle does not tell planes."""
    probs = prediction.plane_probs
    if probs is None:
        return []
    columns = {name: column for column, name in enumerate(prediction.classes)}
    return [
        BestFrame(
            plane=plane,
            column=columns[plane],
            frame=frame,
            seconds=float(prediction.times[frame]),
            probability=probability,
            is_top=int(probs[frame].argmax()) == columns[plane],
        )
        for plane, (frame, probability) in prediction.best_frames().items()
    ]


def _axes(spacing_mm: Spacing) -> dict[str, Any]:
    length = "mm" if spacing_mm else "pixel"
    return {"axis_labels": _AXES, "units": ("pixel", length, length)}
