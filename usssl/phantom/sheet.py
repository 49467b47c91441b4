"""A contact sheet of the phantom, to be looked at beside real images.

`python -m usssl.phantom.sheet docs/images/phantom_sheet.png` draws the sheet of the documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from usssl.errors import OutputError
from usssl.phantom.planes import PLANES
from usssl.phantom.poses import pose_on_skin
from usssl.phantom.probe import ProbePath
from usssl.phantom.scene import Instant
from usssl.phantom.simulation import Patient, film, sample_patient, simulate_cine

Picture = NDArray[np.uint8]


def standard_planes(patient: Patient) -> dict[str, Picture]:
    """What each standard plane of a patient looks like on the screen, `(height, width)` each."""
    scene = patient.scene
    instant = Instant(scene.rest)
    shown: dict[str, Picture] = {}
    for plane in scene.fetus.planes():
        pose = pose_on_skin(scene.rest.outer(plane.centre), scene.rest.axes @ plane.normal)
        if plane.name not in shown:
            shown[plane.name] = next(film(patient, ProbePath((pose,), (instant,))))
    return shown


def contact_sheet(
    seed: int = 0, patients: Sequence[int] = (1, 4, 6, 12, 17), panel: tuple[int, int] = (165, 220)
) -> Picture:
    """Draws a row of standard planes for each patient, then two rows of frames along one sweep.

    Args:
        seed: seed of the collection.
        patients: numbers of the patients.
        panel: height and width of a picture, in pixels.

    Returns:
        Grey values, uint8.
    """
    rows = [_row([f"{name}" for name in PLANES], panel[1])]
    for number in patients:
        planes = standard_planes(sample_patient(np.random.default_rng([seed, number])))
        rows.append(np.hstack([_panel(planes[name], panel) for name in PLANES]))
    cine = simulate_cine(seed, patients[0])
    picked = np.linspace(0, len(cine.frames) - 1, 2 * len(PLANES)).round().astype(int)
    for half in np.array_split(picked, 2):
        rows.append(_row([f"{k / cine.fps:.1f} s  {cine.planes[k]}" for k in half], panel[1]))
        rows.append(np.hstack([_panel(cine.frames[k], panel) for k in half]))
    return np.vstack(rows)


def _panel(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _row(captions: Sequence[str], width: int) -> Picture:
    strip = np.full((18, width * len(captions)), 255, np.uint8)
    for column, caption in enumerate(captions):
        cv2.putText(strip, caption, (column * width + 4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, 0, 1, cv2.LINE_AA)
    return strip


def main(arguments: Sequence[str]) -> int:
    """Writes the sheet to the path given."""
    path = Path(arguments[0])
    if not cv2.imwrite(str(path), contact_sheet(), [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OutputError(f"cannot write {path}: is there such a folder?")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
