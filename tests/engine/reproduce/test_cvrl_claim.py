"""CVRL's claim: the toy is what it says, and all arms run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from usssl.data.sampling.intervals import Law, gap_cdf
from usssl.engine.reproduce import cvrl, reproduce


def correlation(frames: np.ndarray, rows: int, columns: int) -> float:
    """Mean product of each pixel with the one `rows` below and `columns` to the right, on a torus."""
    return float((frames * np.roll(frames, (-rows, -columns), (1, 2))).mean())


@pytest.mark.parametrize(("angle", "along"), [(0.0, (0, 3)), (np.pi / 2, (3, 0)), (np.pi, (0, 3))])
def test_fibres_lie_along_their_angle(angle: float, along: tuple[int, int]) -> None:
    """Noise blurred by a Gaussian of deviation s has the autocorrelation exp(-d^2 / 4 s^2)."""
    frames = cvrl.fibres(np.random.default_rng(0).standard_normal((200, 32, 32)), np.full(200, angle))
    assert correlation(frames, 0, 0) == pytest.approx(1, abs=0.03)
    assert correlation(frames, *along) == pytest.approx(np.exp(-9 / 36), abs=0.03)
    assert correlation(frames, *along[::-1]) == pytest.approx(np.exp(-9 / 4), abs=0.03)


def test_fibres_go_through_a_quarter_of_a_turn() -> None:
    """So that those past the last clip's first frame lie across those of the first."""
    _, angle = cvrl.facts(np.random.default_rng(3))
    first, last = cvrl.doubled(angle[[0, cvrl.LENGTH - cvrl.FRAMES + 1]])
    assert first @ last == pytest.approx(-1)


def test_flow_is_what_is_new_in_a_frame() -> None:
    """Pixels of one frame and the next correlate by sqrt(1 - flow), but for what the turning of fibres takes."""
    for number in range(4):
        flow, _ = cvrl.facts(np.random.default_rng((11, number)))
        frames = cvrl.sweep(number).astype(float) - 100
        found = (frames[1:] * frames[:-1]).mean() / (frames**2).mean()
        assert found == pytest.approx(np.sqrt(1 - flow), abs=0.04)


@pytest.mark.parametrize(("law", "expected"), [("uniform", 0.0), ("decreasing", 4 / np.pi**2)])
def test_only_the_decreasing_law_pairs_like_fibres(law: Law, expected: float) -> None:
    """Mean cosine of twice the angle between the fibres of two clips: the integral of p(x) cos(pi x) over gaps x."""
    starts = cvrl.LENGTH - cvrl.FRAMES + 1
    chance = np.diff(gap_cdf(starts, law=law))
    turned = np.pi * np.arange(starts) / starts
    assert (chance * np.cos(turned)).sum() == pytest.approx(expected, abs=0.02)


def test_all_arms_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From toy to verdict, in two steps an arm."""
    for name, value in {"TRAIN": 8, "TEST": 4, "BATCH": 4, "STEPS": 2, "CLIPS": 4}.items():
        monkeypatch.setattr(cvrl, name, value)
    found = json.loads(reproduce(cvrl.CLAIM, tmp_path, seeds=[0]).read_text())
    assert len(found["figures"]) == len(cvrl.CLAIM.metrics) * len(cvrl.ARMS)
    assert {finding["verdict"] for finding in found["comparisons"]} <= {"holds", "not shown", "contradicted"}
