"""Stills in a report: the ultrasound image, without the name that the scanner writes beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from usssl.cine import open_cine, write_video
from usssl.cine.sector import Window
from usssl.engine.reporting import clean_stills
from usssl.phantom import simulate_cine


def test_stills_show_no_burned_in_text(tmp_path: Path) -> None:
    cine = simulate_cine(0, 1, frames=24)
    path = write_video(tmp_path / "cine.mp4", cine.frames, cine.fps)
    inside = cine.sector.mask
    height, width = inside.shape
    with open_cine(path, color="grey") as opened:
        shown = opened.read(range(len(opened)))
    assert shown[:, ~inside].max() > 150, "the scanner writes beside the image"
    stills = clean_stills(path, Window(0, 0, width, height), (height, width))
    assert stills.shape == shown.shape
    # The sector is found to within a pixel or two of its border.
    rows = np.flatnonzero(inside.any(axis=1))
    assert not stills[:, : rows[0] - 3].any()
    beside = stills[:, ~inside]
    assert (beside > 0).mean() < 0.02
    kept = stills[:, inside] == shown[:, inside]
    assert kept.mean() > 0.95
