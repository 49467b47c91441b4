"""The whole line in one command: pretrain, compare, export, predict, report."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from usssl.bundle import open_bundle, predict_folder
from usssl.engine.evaluation import evaluate
from usssl.engine.exporting import export, source_file
from usssl.engine.pretraining import open_data, pretrain, split_cines
from usssl.engine.report import Figure, Report, write_report
from usssl.engine.reporting import (
    Gallery,
    bundle_facts,
    comparisons_of,
    confusion_of,
    curves_of,
    failures_of,
    provenance_of,
    shortcuts_of,
)
from usssl.engine.run import Run, write_text
from usssl.engine.shortcuts import ShortcutResult, check_shortcuts
from usssl.errors import UsageError
from usssl.progress import say
from usssl.recipe import dump_recipe
from usssl.tasks.intervals import Interval

_ROOT = Path(__file__).resolve().parents[2]
_BUDGETS = (2, 6)
_SEEDS = 3
_SHOWN_CINES = 4
_SHOWN_METRICS = {"macro_f1": "Planes, macro F1", "kld": "Saliency, KLD", "nss": "Saliency, NSS"}
_INBOX_CINES = 3


def run_demo(out: Path) -> Path:
    """Runs the whole line on phantom cines; every part that is there already is kept, so a stopped demo goes on.

    Args:
        out: the folder for all that it writes.

    Returns:
        `report.html`.

    Raises:
        UsageError: the project's `recipes/` and `samples/` are not beside the package.
    """
    recipe = _ROOT / "recipes" / "fetal.yaml"
    if not recipe.is_file():
        raise UsageError("the demo needs the project's recipes/ and samples/; run it from a clone: make demo")
    say("1 of 5  Pretraining on unlabelled phantom cines")
    run = pretrain(recipe, out=out / "pretrained", resume=(out / "pretrained").exists())
    shortcuts = _shortcuts(run, out / "shortcuts.json")
    say("2 of 5  Learning from few labels, pretrained against random initialisation")
    results = [
        evaluate([run.path], protocol="linear", budgets=_BUDGETS[:1], seeds=_SEEDS, out=out / "linear"),
        evaluate([run.path], budgets=_BUDGETS, seeds=_SEEDS, out=out / "fewlabel"),
    ]
    chosen = [Run.open(out / "fewlabel" / f"{task}-{_BUDGETS[-1]}-pretrained-0") for task in ("planes", "saliency")]
    say("3 of 5  Exporting a bundle")
    bundle = out / "bundle"
    if not (bundle / "configs" / "metadata.json").is_file():
        export([fine.path for fine in chosen], bundle)
    say("4 of 5  Predicting a folder that holds MP4, DICOM and a broken file")
    predicted = predict_folder(open_bundle(bundle), [_inbox(run, out / "inbox")], out / "predictions", stills=True)
    say("5 of 5  Writing the report")
    return write_report(_report(run, shortcuts, results, chosen, bundle, predicted.out), out / "report.html")


def _shortcuts(run: Run, path: Path) -> list[ShortcutResult]:
    if path.is_file():
        return [ShortcutResult(**line) for line in json.loads(path.read_text())]
    found = check_shortcuts(run)
    write_text(path, json.dumps([asdict(result) for result in found], indent=1) + "\n")
    return found


def _inbox(run: Run, folder: Path) -> Path:
    """What a hospital's export folder might hold: test cines, the project's samples, and a file cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = run.recipe()
    store = open_data(recipe)
    cines = [source_file(store, cine) for cine in split_cines(store, "test")[:_INBOX_CINES]]
    samples = sorted((_ROOT / "samples" / "phantom" / "cines").glob("*.dcm"))
    for file in [*cines, *samples]:
        shutil.copyfile(file, folder / file.name)
    (folder / "broken.mp4").write_bytes(cines[0].read_bytes()[:5000])
    return folder


def _report(
    run: Run,
    shortcuts: list[ShortcutResult],
    results: list[Path],
    chosen: list[Run],
    bundle: Path,
    predictions: Path,
) -> Report:
    recipe = run.recipe()
    store = open_data(recipe)
    gallery = Gallery(open_bundle(bundle), store, split_cines(store, "test")[:_SHOWN_CINES])
    confusion = confusion_of(chosen[0], f"planes, {_BUDGETS[-1]} labelled cines, pretrained, on test patients")
    return Report(
        title="usssl demo: from unlabelled cines to planes and saliency",
        lead=(
            "An encoder learned from unlabelled phantom sweeps by putting shuffled frames in order and predicting "
            "geometric transformations; then a few labelled cines taught it standard planes and saliency."
        ),
        figures=_figures(results, shortcuts),
        recipe=dump_recipe(recipe),
        provenance=provenance_of(run),
        curves=[curves_of(run)],
        comparisons=[comparison for path in results for comparison in comparisons_of(path)],
        confusions=[confusion] if confusion else [],
        saliency=gallery.saliency(),
        planes=gallery.planes(),
        timelines=gallery.timelines(),
        shortcuts=shortcuts_of(shortcuts),
        bundles=[bundle_facts(bundle)],
        failures=failures_of(predictions / "failures.csv"),
    )


def _figures(results: list[Path], shortcuts: list[ShortcutResult]) -> list[Figure]:
    held_out = shortcuts[0]
    figures = [
        Figure(
            "Order accuracy, held-out patients",
            f"{held_out.accuracy:.2f} [{held_out.low:.2f}, {held_out.high:.2f}]",
            f"chance is {held_out.chance:.2f}",
        )
    ]
    for path in results:
        content = json.loads(path.read_text())
        way = {"linear": "encoder frozen", "fewlabel": "fine-tuned"}[content["protocol"]]
        for line in content["summary"]:
            if line["budget"] == _BUDGETS[0] and line["metric"] in _SHOWN_METRICS and line["arm"] != "random":
                difference = Interval(**line["difference_to_random"])
                note = f"{difference} against random initialisation, {line['budget']} labelled cines"
                name = f"{_SHOWN_METRICS[line['metric']]}, {way}"
                figures.append(Figure(name, f"{line['interval']['mean']:.3f}", note))
    return figures
