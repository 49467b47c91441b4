"""From runs, results and bundles to the parts of a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from usssl.bundle import Prediction, open_bundle
from usssl.bundle.bundle import Bundle
from usssl.cine import open_cine
from usssl.cine.sector import Window, resample
from usssl.cine.sector_mask import mask_outside, sector_mask
from usssl.data import Store
from usssl.engine.evaluation import HIGHER_IS_BETTER
from usssl.engine.exporting import source_file
from usssl.engine.report import (
    BundleFacts,
    Comparison,
    Confusion,
    Curves,
    Failure,
    Measured,
    PlaneFound,
    Report,
    SaliencyExample,
    ShortcutCheck,
    ShortcutChecks,
    Timeline,
    read_curves,
    write_report,
)
from usssl.engine.run import Run
from usssl.engine.shortcuts import ShortcutResult
from usssl.errors import UsageError
from usssl.recipe import PretrainRecipe, dump_recipe
from usssl.tasks.saliency_gaze import gaze_map

_STILL = (168, 216)
_TITLES = {
    "macro_f1": "macro F1",
    "kld": "KLD",
    "nss": "NSS",
    "cc": "CC",
    "sim": "SIM",
    "auc_judd": "AUC-Judd",
}
_WAYS = {"fewlabel": "fine-tuned", "linear": "encoder frozen"}
_CONDITIONS = {
    "held_out": ("Held-out patients", "well above chance"),
    "frozen": ("Frozen cines", "chance: there is no order to find"),
    "masked_border": ("Border masked", "as on held-out patients"),
    "border_only": ("Border alone", "little: the border does not tell the order"),
}


def report_runs(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Writes one report of runs and of the `results.json` of evaluations.

    Args:
        runs: run folders, or folders that hold a `results.json`.
        out: the HTML file.

    Raises:
        UsageError: a folder is neither.
    """
    opened: list[Run] = []
    comparisons: list[Comparison] = []
    for path in map(Path, runs):
        if (path / "results.json").is_file():
            comparisons += comparisons_of(path / "results.json")
        else:
            opened.append(Run.open(path))
    if not opened and not comparisons:
        raise UsageError("name at least one run to report on")
    report = Report(
        title="usssl: " + ", ".join(Path(run).name for run in runs),
        recipe=dump_recipe(opened[0].recipe()) if opened else "",
        provenance=provenance_of(opened[0]) if opened else {},
        curves=[curves_of(run) for run in opened],
        comparisons=comparisons,
        confusions=[confusion for run in opened if (confusion := confusion_of(run))],
    )
    return write_report(report, out)


def curves_of(run: Run) -> Curves:
    """The curves of a run, with chance for the order accuracy."""
    recipe = run.recipe()
    chance: dict[str, float] = {}
    if isinstance(recipe, PretrainRecipe) and recipe.method.name == "order_transform":
        classes = int(np.prod(range(1, recipe.data.clip.frames + 1))) // 2
        chance = {"order_accuracy": 1 / classes, "order_loss": float(np.log(classes))}
    return read_curves(run.path / "metrics.jsonl", title=run.path.name, chance=chance)


def provenance_of(run: Run) -> dict[str, str]:
    """The provenance of a run, flat."""
    flat: dict[str, str] = {}
    for key, value in run.provenance().items():
        if isinstance(value, dict):
            flat |= {f"{key}: {name}": str(inner) for name, inner in value.items()}
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return flat


def comparisons_of(results: Path) -> list[Comparison]:
    """One comparison for each task and metric of an evaluation."""
    content = json.loads(results.read_text())
    summary, way = content["summary"], _WAYS.get(content["protocol"], content["protocol"])
    comparisons = []
    for task, metric in dict.fromkeys((line["task"], line["metric"]) for line in summary):
        lines = [line for line in summary if (line["task"], line["metric"]) == (task, metric)]
        budgets = sorted({line["budget"] for line in lines})
        arms = list(dict.fromkeys(line["arm"] for line in lines))
        values = {(line["arm"], line["budget"]): line["values"] for line in lines}
        comparisons.append(
            Comparison(
                metric=_TITLES.get(metric, metric),
                budgets=[f"{budget} cines" for budget in budgets],
                arms={arm: [values[arm, budget] for budget in budgets] for arm in arms},
                higher_is_better=HIGHER_IS_BETTER[metric],
                task=f"{task}, {way}",
            )
        )
    return comparisons


def confusion_of(run: Run, title: str = "") -> Confusion | None:
    """The confusion matrix of a fine-tuned run, if its task has one."""
    path = run.path / "test.json"
    details: dict[str, Any] = json.loads(path.read_text())["details"] if path.is_file() else {}
    if "confusion" not in details:
        return None
    return Confusion(details["classes"], np.array(details["confusion"]), title or run.path.name)


def shortcuts_of(results: Iterable[ShortcutResult]) -> ShortcutChecks:
    """The shortcut checks, each with what should be seen and whether it was."""
    by_name = {result.condition: result for result in results}
    held_out = by_name["held_out"]
    passed = {
        "held_out": held_out.low > 2 * held_out.chance,
        "frozen": by_name["frozen"].low <= held_out.chance <= by_name["frozen"].high,
        "masked_border": by_name["masked_border"].high >= held_out.low,
        "border_only": by_name["border_only"].high < held_out.low,
    }
    checks = [
        ShortcutCheck(_CONDITIONS[name][0], r.accuracy, r.low, r.high, _CONDITIONS[name][1], passed[name])
        for name, r in by_name.items()
    ]
    return ShortcutChecks(checks, chance=held_out.chance)


def bundle_facts(folder: Path) -> BundleFacts:
    """What a bundle's metadata says."""
    facts = open_bundle(folder).metadata.usssl
    lines = {
        "tasks": ", ".join(facts.task),
        "classes": ", ".join(facts.classes),
        "input": f"{facts.size[0]} x {facts.size[1]} pixels after its own crop",
        "sha256 of the model": facts.sha256,
    }
    if facts.parity:
        errors = ", ".join(f"{name} {error:.1e}" for name, error in facts.parity.max_abs_error.items())
        lines["largest difference to PyTorch"] = f"{errors}, on {facts.parity.frames} real frames"
    return BundleFacts(folder.name, lines)


def failures_of(table: Path) -> list[Failure]:
    """The lines of a `failures.csv`."""
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [Failure(row["path"], row["reason"]) for row in csv.DictReader(file)]


class Gallery:
    """What a bundle makes of some cines of a store, as pictures for a report.

    Args:
        bundle: the model.
        store: labelled cines.
        cines: rows of the store to show.
    """

    def __init__(self, bundle: Bundle, store: Store, cines: Sequence[int]) -> None:
        self.store, self.cines = store, list(cines)
        self.predictions: dict[int, Prediction] = {}
        self.frames: dict[int, np.ndarray] = {}
        for cine in self.cines:
            source = source_file(store, cine)
            with open_cine(source, color="grey") as opened:
                self.predictions[cine] = bundle.predict(opened)
            self.frames[cine] = clean_stills(source, Window(*self.predictions[cine].window), _STILL)

    def timelines(self) -> list[Timeline]:
        """Plane probabilities over time beside the truth."""
        lines = []
        for cine in self.cines:
            found = self.predictions[cine]
            if found.plane_probs is None:
                continue
            numbers = {name: number for number, name in enumerate(found.classes)}
            truth = np.array([numbers[name] for name in self.store.frame_labels(cine, "plane")])
            lines.append(Timeline(self._name(cine), self.store.times(cine), found.classes, found.plane_probs, truth))
        return lines

    def planes(self) -> list[PlaneFound]:
        """For each plane, the most certain frame over the cines."""
        best: dict[str, PlaneFound] = {}
        for cine in self.cines:
            labels = self.store.frame_labels(cine, "plane")
            for plane, (frame, probability) in self.predictions[cine].best_frames().items():
                if plane not in best or probability > best[plane].probability:
                    seconds = float(self.store.times(cine)[frame])
                    still = self.frames[cine][frame]
                    best[plane] = PlaneFound(plane, self._name(cine), seconds, probability, still, labels[frame])
        return [best[plane] for plane in sorted(best)]

    def saliency(self) -> list[SaliencyExample]:
        """One frame of each cine with gaze: the predicted map, the recorded one, and the gaze points."""
        examples = []
        for cine in self.cines:
            maps, gaze = self.predictions[cine].saliency, self.store.fixations(cine)
            if maps is None or not len(gaze):
                continue
            chosen = self._plane_frame(cine)
            near = np.abs(gaze.frame - chosen) <= 2
            points = gaze.window_xy[near][:, ::-1].astype(np.float64)
            grid = maps.shape[1:]
            examples.append(
                SaliencyExample(
                    cine=self._name(cine),
                    time_s=float(self.store.times(cine)[chosen]),
                    frame=self.frames[cine][chosen],
                    predicted=maps[chosen],
                    truth=gaze_map(points * grid, grid, 0.05 * grid[1]) if len(points) else None,
                    fixations=points * _STILL if len(points) else None,
                )
            )
        return examples

    def _plane_frame(self, cine: int) -> int:
        """The middle frame of the first plane that the cine shows."""
        labels = np.array(self.store.frame_labels(cine, "plane"))
        shown = np.flatnonzero(labels != "background")
        if not len(shown):
            return len(labels) // 2
        same = shown[labels[shown] == labels[shown[0]]]
        return int(same[len(same) // 2])

    def _name(self, cine: int) -> str:
        return str(self.store.table["id"][cine].as_py())[:8]


def clean_stills(path: Path, window: Window, size: tuple[int, int]) -> np.ndarray:
    """All frames of a cine as a report may show them: the ultrasound image alone, as names are written beside it.

    Args:
        path: of the cine.
        window: what to show, in pixels of the frame.
        size: height and width of a still.

    Returns:
        Grey uint8 `(time, height, width)`. No mask is perfect: look at a report before it leaves the house.
    """
    with open_cine(path) as own:
        keep = sector_mask(own)
    with open_cine(path, color="grey") as grey:
        return resample(mask_outside(grey.read(range(len(grey))), keep), window, size)


def measured(metrics: dict[str, float], note: str) -> list[Measured]:
    """Metrics as a report's rows."""
    return [Measured(_TITLES.get(name, name), value, note=note) for name, value in metrics.items()]
