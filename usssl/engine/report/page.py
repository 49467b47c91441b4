"""The page: turns a `Report` into one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from usssl import __version__
from usssl.engine.report import pictures, plots
from usssl.engine.report.content import Comparison, Confusion, Report
from usssl.errors import OutputError
from usssl.progress import say
from usssl.tasks.classification import class_scores
from usssl.tasks.intervals import mean_interval, paired_interval

_COMFORTABLE_BYTES = 5_000_000


@dataclass(frozen=True)
class _ArmRow:
    """One line of the comparison table: an arm at a label budget."""

    metric: str
    budget: str
    arm: str
    colour: str
    result: str
    difference: str
    verdict: str


def write_report(report: Report, path: str | Path) -> Path:
    """Writes a report as one self-contained HTML file, whole or not at all.

    Args:
        report: what it shows.
        path: the file, such as `runs/demo/report.html`; its folder is made.

    Returns:
        The file.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    html = render_report(report).encode("utf-8")
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(html)
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"cannot write the report to {target}: {error.strerror or error}") from None
    if len(html) > _COMFORTABLE_BYTES:
        say(f"{target} has {len(html) / 1e6:.0f} MB: show fewer frames to keep it easy to send")
    return target


def render_report(report: Report) -> str:
    """The report's HTML. All text is escaped, and the page's own policy forbids it to load or run anything."""
    environment = Environment(
        loader=PackageLoader("usssl.engine.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimal"] = lambda value: f"{value:.3f}"
    return environment.get_template("template.html").render(
        report=report,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        curves=[(curves, plots.as_uri(plots.curves_figure(curves))) for curves in report.curves if curves.series],
        comparison=plots.as_uri(plots.comparison_figure(report.comparisons)) if report.comparisons else "",
        arm_rows=[row for comparison in report.comparisons for row in _arm_rows(comparison)],
        confusions=[_confusion(confusion) for confusion in report.confusions],
        saliency=[(example, pictures.saliency_pictures(example)) for example in report.saliency],
        planes=[(found, pictures.thumbnail(found.frame)) for found in report.planes],
        timelines=[(timeline, plots.as_uri(plots.timeline_figure(timeline))) for timeline in report.timelines],
        shortcuts=plots.as_uri(plots.shortcuts_figure(report.shortcuts)) if report.shortcuts else "",
    )


def _arm_rows(comparison: Comparison) -> Iterator[_ArmRow]:
    first = next(iter(comparison.arms))
    metric = f"{comparison.task}: {comparison.metric}" if comparison.task else comparison.metric
    for place, budget in enumerate(comparison.budgets):
        for number, (arm, budgets) in enumerate(comparison.arms.items()):
            values = np.asarray(budgets[place], dtype=np.float64)
            finite = values[np.isfinite(values)]
            result = str(mean_interval(finite)) if len(finite) else "not measured"
            difference, verdict = ("", "") if number == 0 else _against(comparison, first, arm, place)
            yield _ArmRow(metric, budget, arm, plots.arm_colour(number), result, difference, verdict)


def _against(comparison: Comparison, first: str, arm: str, place: int) -> tuple[str, str]:
    """The paired difference of an arm from the first, and what it shows."""
    ours, theirs = (np.asarray(comparison.arms[name][place], dtype=np.float64) for name in (arm, first))
    if len(ours) != len(theirs) or len(ours) < 2 or not np.isfinite(ours - theirs).all():
        return "", "seeds are not paired"
    difference = paired_interval(ours, theirs)
    sign = "+" if difference.mean >= 0 else "−"
    text = f"{sign}{abs(difference.mean):.3f} [{difference.low:+.3f}, {difference.high:+.3f}]".replace("-", "−")
    if not difference.excludes_zero:
        return text, "no difference shown"
    return text, f"{arm} better" if (difference.mean > 0) == comparison.higher_is_better else f"{first} better"


def _confusion(confusion: Confusion) -> dict[str, Any]:
    scores = class_scores(confusion.counts)
    rows = [
        (name, scores.precision[place], scores.recall[place], scores.f1[place], int(scores.support[place]))
        for place, name in enumerate(confusion.classes)
    ]
    uri = plots.as_uri(plots.confusion_figure(confusion))
    return {"title": confusion.title, "uri": uri, "rows": rows, "scores": scores}
