"""Curves from `metrics.jsonl`, as a finished, a running and a killed run leave it."""

from __future__ import annotations

import json

import pytest

from usssl.engine.report import read_curves
from usssl.errors import UsageError


def test_training_and_validation_lines(tmp_path):
    lines = [
        {"step": 10, "epoch": 0.5, "loss": 2.5, "order_loss": 2.4, "lr": 0.01, "data_wait": 0.1},
        {"step": 20, "epoch": 1, "loss": 2.0, "order_loss": 1.9, "lr": 0.01, "data_wait": 0.1},
        {"step": 20, "epoch": 1, "val_order_accuracy": 0.4},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    curves = read_curves(path, "Pretraining", {"order_accuracy": 1 / 12})
    assert curves.series["loss"] == [(10, 2.5), (20, 2.0)]
    assert curves.series["val_order_accuracy"] == [(20, 0.4)]
    assert set(curves.series) == {"loss", "order_loss", "lr", "data_wait", "val_order_accuracy"}
    assert curves.chance == {"order_accuracy": 1 / 12}


def test_a_killed_run_and_odd_values(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": NaN, "note": "x", "ok": true}\n\n[1]\n{"step": 2, "loss": 1.5}\n{"step": 3, "lo'
    )
    assert read_curves(path, "t").series == {"loss": [(2, 1.5)]}


def test_no_file_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the training curves at .*No such file"):
        read_curves(tmp_path / "metrics.jsonl", "t")
