"""CEP's claim: the toy is what it says, and all arms run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from usssl.engine.reproduce import cep, reproduce


def test_the_lumen_beats_with_its_phase() -> None:
    """Dark pixels are most where the phase is 0, fewest half a beat later, and do not tell whether it grows."""
    for number in range(4):
        beat = cep.phase(np.random.default_rng((13, number)))
        dark = (cep.heart(number) < 60).sum(axis=(1, 2))
        assert np.corrcoef(dark, np.cos(beat))[0, 1] > 0.95
        assert abs(np.corrcoef(dark, np.sin(beat))[0, 1]) < 0.4


def test_it_grows_where_the_next_radius_is_larger() -> None:
    """The radius goes as the cosine of the phase; between two frames it grows or shrinks as in the middle of them."""
    beat = cep.phase(np.random.default_rng(5))
    middle = (beat[1:] + beat[:-1]) / 2
    assert (cep.grows(middle) == (np.diff(np.cos(beat)) > 0)).all()


def test_a_beat_is_as_long_as_stated() -> None:
    """The phase goes through 2 pi in 18 to 36 frames, by equal steps."""
    for seed in range(8):
        steps = np.diff(cep.phase(np.random.default_rng(seed)))
        assert steps == pytest.approx(steps[0])
        assert 18 <= 2 * np.pi / steps[0] <= 36


def test_all_arms_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From toy to verdict, in two steps an arm."""
    for name, value in {"TRAIN": 8, "TEST": 4, "BATCH": 4, "STEPS": 2, "CLIPS": 4}.items():
        monkeypatch.setattr(cep, name, value)
    found = json.loads(reproduce(cep.CLAIM, tmp_path, seeds=[0]).read_text())
    assert len(found["figures"]) == len(cep.CLAIM.metrics) * len(cep.ARMS)
    assert {finding["verdict"] for finding in found["comparisons"]} <= {"holds", "not shown", "contradicted"}
