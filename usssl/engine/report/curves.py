"""Training curves from the lines of `metrics.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from usssl.engine.report.content import Curves
from usssl.errors import UsageError

_NOT_CURVES = ("step", "epoch")


def read_curves(path: str | Path, title: str, chance: Mapping[str, float] | None = None) -> Curves:
    """Reads what a training logged.

    A line that was cut short by a killed run is left out, and so are values that are no finite numbers.

    Args:
        path: a run's `metrics.jsonl`.
        title: of the training.
        chance: name to the value that guessing reaches.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the training curves at {path}: {error.strerror or error}") from None
    return Curves(title, _series(_lines(text)), chance or {})


def _lines(text: str) -> Iterable[dict[str, Any]]:
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(values, dict):
            yield values


def _series(lines: Iterable[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    series: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        step = line.get("step")
        if not _is_number(step):
            continue
        for name, value in line.items():
            if name not in _NOT_CURVES and _is_number(value):
                series.setdefault(name, []).append((float(step), float(value)))  # type: ignore[arg-type]
    return series


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
