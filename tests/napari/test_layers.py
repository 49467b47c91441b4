"""Cines and predictions as napari layers: where they lie, what they are called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari_usssl.frames import CineFrames
from napari_usssl.layers import best_frames, cine_layer, placement, saliency_layer, saliency_limits

from usssl.bundle import Prediction
from usssl.cine import open_cine


def prediction(**values: object) -> Prediction:
    return Prediction(
        **{"times": np.arange(3) / 10, "classes": ("background", "head", "femur"), "window": (0, 0, 64, 48)} | values
    )


def edges(scale: float, translate: float, cells: int) -> tuple[float, float]:
    """Where napari draws the outer edges of a row of cells: half a cell outside the first and the last centre."""
    return translate - scale / 2, translate + (cells - 1) * scale + scale / 2


@pytest.mark.parametrize("spacing", [None, (0.5, 0.25)])
@pytest.mark.parametrize("window", [(0, 0, 64, 48), (10, 5, 50, 35), (-8.5, -3, 70, 60.5)])
def test_a_map_covers_its_window(window: tuple[float, ...], spacing: tuple[float, float] | None) -> None:
    (scale_y, scale_x), (y, x) = placement(window, (12, 16), spacing)
    row, column = spacing or (1.0, 1.0)
    # The cine's own layer draws pixel 0 from -0.5 to 0.5 pixels.
    assert edges(scale_x, x, 16) == pytest.approx(((window[0] - 0.5) * column, (window[2] - 0.5) * column))
    assert edges(scale_y, y, 12) == pytest.approx(((window[1] - 0.5) * row, (window[3] - 0.5) * row))


def test_a_map_of_the_frames_size_lies_on_the_frame() -> None:
    assert placement((0, 0, 64, 48), (48, 64), (0.5, 0.25)) == ((0.5, 0.25), (0.0, 0.0))


def test_saliency_keeps_the_frames_of_the_cine() -> None:
    maps = np.full((3, 12, 16), 1 / 192, np.float32)
    data, arguments, kind = saliency_layer(prediction(saliency=maps), "ab" * 16, None, opacity=0.3)
    assert (data is maps, kind, arguments["opacity"], arguments["blending"]) == (True, "image", 0.3, "additive")
    assert arguments["scale"] == (1.0, 4.0, 4.0)
    assert arguments["translate"][0] == 0


def test_no_saliency_layer_without_maps() -> None:
    with pytest.raises(ValueError, match="no saliency"):
        saliency_layer(prediction(), "ab" * 16, None)


def test_one_sharp_map_does_not_dim_the_others() -> None:
    maps = np.full((100, 4, 4), 0.1, np.float32)
    maps[7] = 0
    maps[7, 0, 0] = 1
    assert saliency_limits(maps) == (0.0, pytest.approx(0.1))
    assert saliency_limits(np.zeros((2, 4, 4), np.float32)) == (0.0, 1.0)


def test_best_frames_by_hand() -> None:
    probs = np.array([[0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]], np.float32)
    head, femur = best_frames(prediction(plane_probs=probs))
    assert (head.plane, head.column, head.frame, head.seconds, head.is_top) == ("head", 1, 1, 0.1, True)
    assert (femur.plane, femur.frame, femur.is_top) == ("femur", 2, False)  # the background is more probable there
    assert head.probability == pytest.approx(0.8)
    assert best_frames(prediction()) == []


def test_a_cine_layer_has_millimetres_and_no_name_of_a_person(dicom: Path) -> None:
    frames = CineFrames(open_cine(dicom))
    data, arguments, kind = cine_layer(frames)
    frames.close()
    assert (data is frames, kind, arguments["rgb"]) == (True, "image", False)
    assert arguments["scale"] == pytest.approx((1.0, 0.5, 0.25))
    assert arguments["units"] == ("pixel", "mm", "mm")
    assert arguments["name"] == f"cine {frames.cine.id[:8]}"
    assert not any(word in repr(arguments) for word in ("DOE", "JANE", "4711", "IM_0001"))


def test_a_cine_without_spacing_is_in_pixels() -> None:
    cine = SimpleNamespace(id="f" * 32, fps=None, spacing_mm=None)
    _, arguments, _ = cine_layer(SimpleNamespace(cine=cine, ndim=4))
    assert (arguments["scale"], arguments["units"], arguments["rgb"]) == ((1.0, 1.0, 1.0), ("pixel",) * 3, True)
