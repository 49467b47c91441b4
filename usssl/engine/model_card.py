"""The model card of a bundle (`docs/README.md`): data, method, metrics with intervals, limits."""

from __future__ import annotations

from dataclasses import dataclass

from usssl.bundle.metadata import UssslFacts


@dataclass(frozen=True)
class CardMetric:
    """One measured figure.

    Attributes:
        name: such as "macro F1".
        value: the figure.
        low: lower end of its 95 % interval, or None where none was measured.
        high: upper end.
        on: what it was measured on, such as "12 test patients, 3 seeds".
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    on: str = ""


@dataclass(frozen=True)
class CardFacts:
    """What a model card says that the model itself does not know.

    Attributes:
        name: of the model.
        task: one plain sentence on what it does.
        description: a paragraph on what it is.
        data: what it was trained on: source, number of patients and cines, splits, licence.
        method: how it was trained.
        metrics: measured figures.
        limits: sentences on where it fails or was not tested.
        authors: who made it.
        copyright: whose it is, and its licence.
        version: of the bundle.
        change: what is new in this version.
    """

    name: str
    task: str
    description: str
    data: str
    method: str
    metrics: tuple[CardMetric, ...] = ()
    limits: tuple[str, ...] = ()
    authors: str = "the usssl user who exported it"
    copyright: str = "not stated"
    version: str = "0.1.0"
    change: str = "first export"


def model_card(card: CardFacts, facts: UssslFacts, *, colour: bool = False) -> str:
    """The model card in Markdown; `colour`: of a model that takes RGB frames."""
    parts = [
        _HEADER.format(title=card.name, tasks=", ".join(facts.task)),
        f"# {card.name}\n\n**For research use; not a medical device.** {card.task}\n\n{card.description}",
        f"## What it takes and gives\n\n{_interface(facts, colour)}",
        f"## Data\n\n{card.data}",
        f"## Method\n\n{card.method}",
        f"## Metrics\n\n{_metrics(card)}",
        f"## Parity with PyTorch\n\n{_parity(facts)}",
        f"## Limits\n\n{_limits(card)}",
        f"## Authors and copyright\n\n{card.authors}. Copyright: {card.copyright}.",
        f"## Changes\n\n- {card.version}: {card.change}",
    ]
    return "\n\n".join(parts) + "\n"


_HEADER = """---
library_name: onnx
tags: [ultrasound, onnx, monai, usssl, {tasks}]
model_name: {title!r}
---"""


def _interface(facts: UssslFacts, colour: bool) -> str:
    height, width = facts.size
    kind, shape = ("RGB", "(batch, time, height, width, 3)") if colour else ("grey", "(batch, time, height, width)")
    lines = [
        f"- Input `frames`: raw {kind} frames, uint8 {shape}, of any size. "
        f"The graph finds the ultrasound image, crops it, and resizes it to {height} × {width} (height × width).",
        "- Input `fixed_window`, optional: float32 (1, 4), a window (x0, y0, x1, y1) in pixels to use in place of "
        "the one that the graph finds, so that all parts of a long cine are seen alike.",
    ]
    if facts.clip.frames > 1:
        lines.append(
            f"- It sees clips of {facts.clip.frames} frames, {facts.clip.stride} frames of the cine apart, each a row "
            "of the batch. `predict` shows it a whole cine through clips that overlap by half; what it says of a frame "
            "is the mean over the clips that show it. A cine too short for a clip repeats its last frame."
        )
    if facts.classes:
        lines.append(f"- Classes: {', '.join(facts.classes)}.")
    if "saliency" in facts.task:
        lines.append("- Output `saliency`: a map for each frame that sums to 1 and covers the rectangle `window`.")
    return "\n".join(lines)


def _metrics(card: CardFacts) -> str:
    if not card.metrics:
        return "None were measured."
    rows = ["| metric | value | 95 % interval | measured on |", "|---|---|---|---|"]
    for metric in card.metrics:
        interval = (
            "not measured" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
        )
        rows.append(f"| {metric.name} | {metric.value:.3f} | {interval} | {metric.on} |")
    return "\n".join(rows)


def _parity(facts: UssslFacts) -> str:
    if facts.parity is None:
        return "Not measured."
    sizes = ", ".join(f"{height} × {width}" for height, width in facts.parity.sizes)
    rows = [
        f"Largest difference between ONNX Runtime and PyTorch on {facts.parity.frames} real frames "
        f"(height × width: {sizes}). The export allows {facts.parity.tolerance:g} of an output's largest value.",
        "",
        "| output | largest difference | relative to its largest value |",
        "|---|---|---|",
    ]
    for name, error in facts.parity.max_abs_error.items():
        rows.append(f"| {name} | {error:.2g} | {facts.parity.max_relative_error[name]:.2g} |")
    return "\n".join(rows)


def _limits(card: CardFacts) -> str:
    fixed = (
        "It has not been validated for any clinical purpose and must not guide the care of a patient.",
        "It knows only scanners, patients and planes like those of its data; of others its probabilities say nothing.",
    )
    return "\n".join(f"- {sentence}" for sentence in (*card.limits, *fixed))
