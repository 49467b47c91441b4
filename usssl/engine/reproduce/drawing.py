"""Draws a claim: a panel a metric, each seed a dot, the mean with its 95 % interval beside them."""

from __future__ import annotations

from pathlib import Path

from usssl.engine.report.content import Comparison
from usssl.engine.report.plots import comparison_figure
from usssl.engine.reproduce.claim import Claim, Values


def draw(claim: Claim, values: Values, path: Path) -> None:
    """Writes the drawing as PNG, whole or not at all."""
    panels = [
        Comparison(
            metric=metric.name.replace("_", " "),
            budgets=("",),
            arms={arm: [list(values[metric.name][arm])] for arm in claim.arms},
            higher_is_better=metric.higher_is_better,
            chance=metric.chance,
        )
        for metric in claim.metrics
    ]
    figure = comparison_figure(panels)
    partial = path.with_suffix(".partial")
    figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})
    partial.replace(path)
