"""The report's diagrams as matplotlib figures, without pyplot, in a palette that the colour-blind can tell apart."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from usssl.engine.report.content import Comparison, Confusion, Curves, ShortcutChecks, Timeline
from usssl.tasks.intervals import mean_interval

# Okabe and Ito's palette, without its yellow (too light for lines on white); grey is for what should not stand out.
GREY = "#7a7f87"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
INK = "#1f2933"
_FAINT = "#d5d9de"
_BLUES = LinearSegmentedColormap.from_list("usssl", ["#ffffff", "#b9d7ea", "#0072B2", "#003b5c"])
_MOST_POINTS = 400
_PLAIN_TEXT = {"text.parse_math": False}  # a dollar in a file's name is no formula
_UNITS = {"lr": "learning rate", "clips_per_s": "clips / s", "data_wait": "share of time waiting for data"}


def as_uri(figure: Figure) -> str:
    """The figure as an SVG data URI, the same bytes for the same data."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "usssl", **_PLAIN_TEXT}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


@rc_context(_PLAIN_TEXT)
def curves_figure(curves: Curves) -> Figure:
    """A panel a logged quantity: training values and their running median, validation values as dots."""
    names = [name for name in curves.series if not (name.startswith("val_") and name[4:] in curves.series)]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.35 * rows), layout="constrained")
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        points = _thin(curves.series[name])
        if name.startswith("val_") or len(points) < 3:
            axes.plot(*points.T, color=COLOURS[0], marker="o", markersize=4, linewidth=1.2)
        else:
            axes.plot(*points.T, color=COLOURS[0], linewidth=0.7, alpha=0.35)
            axes.plot(points[:, 0], _running_median(points[:, 1]), color=COLOURS[0], linewidth=1.6, label="training")
        if f"val_{name}" in curves.series:
            held_out = _thin(curves.series[f"val_{name}"])
            axes.plot(*held_out.T, color=COLOURS[1], marker="o", markersize=4, linewidth=1.2, label="held out")
        chance = curves.chance.get(name, curves.chance.get(name.removeprefix("val_")))
        if chance is not None:
            axes.axhline(chance, color=GREY, linestyle="--", linewidth=1, label="chance")
        _style(axes, title=_readable(name))
        axes.set_xlabel("step", color=INK, fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if axes.get_legend_handles_labels()[1] not in ([], ["training"]):
            axes.legend(fontsize=7.5, frameon=False)
    return figure


@rc_context(_PLAIN_TEXT)
def comparison_figure(comparisons: Sequence[Comparison]) -> Figure:
    """A panel a metric: each seed a dot, the mean with its 95 % interval over seeds as a bar beside them."""
    columns = min(3, len(comparisons))
    rows = math.ceil(len(comparisons) / columns)
    figure = Figure(figsize=(3.6 * columns, 3.0 * rows), layout="constrained")
    for index, comparison in enumerate(comparisons):
        axes = figure.add_subplot(rows, columns, index + 1)
        step = 0.8 / len(comparison.arms)
        for number, (arm, budgets) in enumerate(comparison.arms.items()):
            colour = arm_colour(number)
            for place, values in enumerate(budgets):
                x = place + (number - (len(comparison.arms) - 1) / 2) * step
                _dots_and_interval(axes, x, values, colour, step, arm if place == 0 else "")
        if comparison.chance is not None:
            axes.axhline(comparison.chance, color=GREY, linestyle="--", linewidth=1, label="chance")
        axes.set_xticks(range(len(comparison.budgets)), comparison.budgets)
        axes.set_xlim(-0.6, len(comparison.budgets) - 0.4)
        better = "higher is better" if comparison.higher_is_better else "lower is better"
        title = f"{comparison.task}: {comparison.metric}" if comparison.task else comparison.metric
        _style(axes, title=title)
        axes.set_ylabel(better, color=INK, fontsize=8)
    labelled = {
        label: mark for axes in figure.axes for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labelled.values(), labelled.keys(), loc="outside upper left", ncols=8, fontsize=9, frameon=False)
    return figure


@rc_context(_PLAIN_TEXT)
def confusion_figure(confusion: Confusion) -> Figure:
    """The confusion matrix: colour is the share of the true class, the numbers are counts."""
    counts = np.asarray(confusion.counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 0.62 * len(counts) + 1.6
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap=_BLUES, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else INK
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(counts)), confusion.classes, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(counts)), confusion.classes, fontsize=8)
    axes.set_xlabel("predicted", color=INK, fontsize=9)
    axes.set_ylabel("truth", color=INK, fontsize=9)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0)
    return figure


@rc_context(_PLAIN_TEXT)
def timeline_figure(timeline: Timeline) -> Figure:
    """Plane probabilities over time, above strips of the predicted and the true plane."""
    figure = Figure(figsize=(10.5, 3.0), layout="constrained")
    strips = 1 if timeline.truth is None else 2
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[5, strips])
    times, probabilities = np.asarray(timeline.times, dtype=float), np.asarray(timeline.probabilities)
    for number, name in enumerate(timeline.classes):
        upper.plot(times, probabilities[:, number], color=class_colour(name, number), linewidth=1.5, label=name)
    upper.set_ylim(-0.02, 1.02)
    _style(upper, title="")
    upper.set_ylabel("probability", color=INK, fontsize=9)
    upper.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _strip(lower, times, probabilities.argmax(axis=1), timeline.classes, place=0)
    if timeline.truth is not None:
        _strip(lower, times, np.asarray(timeline.truth), timeline.classes, place=1)
    lower.set_yticks(range(strips), ["predicted", "truth"][:strips])
    lower.set_ylim(-0.5, strips - 0.5)
    lower.set_xlabel("seconds", color=INK, fontsize=9)
    lower.tick_params(length=0, labelsize=8, colors=INK)
    lower.spines[:].set_visible(False)
    if len(times) > 1:
        upper.set_xlim(times[0], times[-1])
    return figure


@rc_context(_PLAIN_TEXT)
def shortcuts_figure(shortcuts: ShortcutChecks) -> Figure:
    """The accuracy under each condition, with its interval, beside the chance line."""
    figure = Figure(figsize=(8.5, 0.5 * len(shortcuts.checks) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    for place, check in enumerate(shortcuts.checks):
        if check.low is not None and check.high is not None:
            axes.plot([check.low, check.high], [place, place], color=COLOURS[0], linewidth=2.5, solid_capstyle="butt")
        axes.plot(check.value, place, "o", color=COLOURS[0], markersize=7)
    axes.axvline(shortcuts.chance, color=GREY, linestyle="--", linewidth=1)
    axes.text(
        shortcuts.chance, -0.62, f"chance {shortcuts.chance:.3f}", color=INK, fontsize=8, ha="center", va="bottom"
    )
    axes.set_yticks(range(len(shortcuts.checks)), [check.name for check in shortcuts.checks])
    axes.set_ylim(len(shortcuts.checks) - 0.5, -0.6)
    axes.set_xlim(0, 1.02)
    _style(axes, title="", grid="x")
    axes.set_xlabel(shortcuts.measure, color=INK, fontsize=9)
    return figure


def arm_colour(number: int) -> str:
    """The first arm, with which the others are compared, is grey."""
    return GREY if number == 0 else COLOURS[(number - 1) % len(COLOURS)]


def class_colour(name: str, number: int) -> str:
    """The background class is grey; the others have a colour each, over again after seven."""
    return "#b4bac2" if name.lower() == "background" else COLOURS[number % len(COLOURS)]


def _dots_and_interval(axes: Axes, x: float, values: Sequence[float], colour: str, step: float, label: str) -> None:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return
    interval = mean_interval(finite)
    axes.plot([x - 0.18 * step] * len(finite), finite, "o", color=colour, markersize=4.5, alpha=0.6, markeredgewidth=0)
    if len(finite) > 1:
        axes.plot(
            [x + 0.12 * step] * 2, [interval.low, interval.high], color=colour, linewidth=2, solid_capstyle="butt"
        )
    mean = axes.plot([x + 0.12 * step], [interval.mean], "D", color=colour, markersize=6)
    if label:
        mean[0].set_label(label)


def _strip(axes: Axes, times: NDArray[Any], which: NDArray[Any], classes: Sequence[str], place: int) -> None:
    """Coloured stretches of one class each; a frame lasts until half-way to its neighbours."""
    between = (times[1:] + times[:-1]) / 2
    edges = np.concatenate([times[:1], between, times[-1:]])
    starts = np.flatnonzero(np.concatenate([[True], which[1:] != which[:-1]]))
    ends = np.append(starts[1:], len(which))
    whole = max(edges[-1] - edges[0], 1e-9)
    for start, end in zip(starts, ends, strict=True):
        name, left, width = classes[which[start]], edges[start], edges[end] - edges[start]
        colour = class_colour(name, int(which[start]))
        axes.barh(place, width, left=left, height=0.8, color=colour)
        if width / whole > 0.0085 * len(name) + 0.01:
            ink = INK if colour in ("#b4bac2", COLOURS[1], COLOURS[4], COLOURS[5]) else "white"
            axes.text(left + width / 2, place, name, ha="center", va="center", fontsize=7, color=ink, clip_on=True)


def _style(axes: Axes, title: str, grid: str = "y") -> None:
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.grid(axis=grid, color=_FAINT, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK, length=0)


def _readable(name: str) -> str:
    held_out = name.startswith("val_")
    words = _UNITS.get(name.removeprefix("val_"), name.removeprefix("val_").replace("_", " ").replace("f1", "F1"))
    return f"{words} (held out)" if held_out else words


def _thin(points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """At most 400 points, each the mean of as many neighbours as it stands for."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(array) <= _MOST_POINTS:
        return array
    return np.array([chunk.mean(axis=0) for chunk in np.array_split(array, _MOST_POINTS)])


def _running_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = max(1, len(values) // 25)
    padded = np.pad(values, reach, mode="reflect")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1))
