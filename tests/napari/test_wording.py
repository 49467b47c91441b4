"""What the panel says, and the colours it says it in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari_usssl import palette
from napari_usssl.wording import cine_facts, duration, position, problem, run_report, top_class

from usssl.bundle import Prediction
from usssl.errors import BundleError, CineError


def test_a_broken_cine_is_named_without_its_path() -> None:
    error = CineError(Path("/data/DOE_JANE/a.mp4"), "the file is empty")
    assert problem(error, "cine 3 of 9") == "Cannot read cine 3 of 9: the file is empty"


def test_a_bundle_is_named_with_its_path() -> None:
    assert problem(BundleError("the bundle /b does not exist"), "it") == "The bundle /b does not exist"
    assert problem(ZeroDivisionError("oh"), "it") == "ZeroDivisionError: oh"


def test_times() -> None:
    assert [duration(s) for s in (0, 1.484, 59.99, 61.2, 3600, float("nan"))] == [
        "0.00 s", "1.48 s", "59.99 s", "1:01 min", "60:00 min", "–",
    ]  # fmt: skip
    assert position(3, [0, 0.1, 0.2, 0.3]) == "frame 3 / 3 · 0.30 s"
    assert position(1, [0, float("nan")]) == "frame 1 / 1"


def test_facts_of_a_cine() -> None:
    cine = SimpleNamespace(shape=(240, 480, 640, 3), fps=25.0, spacing_mm=(0.2, 0.214))
    assert cine_facts(cine) == "240 frames · 9.60 s · 25 frames/s\n640 × 480 pixels · 0.214 mm/pixel"
    still = SimpleNamespace(shape=(1, 480, 640), fps=None, spacing_mm=None)
    assert cine_facts(still) == "1 frame\n640 × 480 pixels"


def test_what_a_run_says() -> None:
    probs = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    prediction = Prediction(
        times=np.array([0, 0.1]),
        classes=("background", "four_chamber"),
        window=(0, 0, 1, 1),
        plane_probs=probs,
        cine_probs=np.array([0.3, 0.7], np.float32),
    )
    assert [top_class(prediction, frame) for frame in (0, 1)] == ["four chamber 0.80", "background 0.90"]
    assert top_class(None, 0) == ""
    assert run_report(prediction, 0.5) == "Done: 2 frames in 0.5 s, 4 a second. Whole cine: four chamber 0.70."


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DICHROMATS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


@pytest.mark.parametrize("kind", DICHROMATS)
def test_the_colours_differ_for_colour_blind_eyes(kind: str) -> None:
    """CIE 1976 differences; 2.3 is just noticeable side by side."""
    import cv2

    colors = palette.class_colors(["background", *"abcdefg"])
    srgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DICHROMATS[kind]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(len(colors))
    assert distances.min() > 15


def test_the_colours_are_bright_enough() -> None:
    names = [str(n) for n in range(13)]
    for color in (*palette.class_colors(["background", *names]), palette.INK, palette.FAINT_INK):
        assert contrast(color, palette.GROUND) >= 4.5


def test_a_class_keeps_its_colour_and_the_background_takes_none() -> None:
    assert palette.class_colors(["a", "background", "b"])[::2] == palette.class_colors(["a", "b"])
    assert palette.class_colors(["background"]) == (palette.BACKGROUND_COLOR,)
