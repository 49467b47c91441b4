"""Protocols that compare pretrained encoders with random ones on few labelled cines.

`fewlabel` fine-tunes all weights. `linear` trains the task's head alone and leaves the encoder as pretraining, or
chance, made it: what it shows is what the features hold already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from usssl.engine.finetuning import RANDOM, finetune
from usssl.engine.run import Run, write_text
from usssl.errors import OutputError, UsageError
from usssl.progress import track
from usssl.recipe import DataArguments, FinetuneRecipe, PretrainRecipe, read_recipe
from usssl.tasks.intervals import mean_interval, paired_interval

TASKS = ("planes", "saliency")
HIGHER_IS_BETTER = {"macro_f1": True, "kld": False, "nss": True, "cc": True, "sim": True, "auc_judd": True}

# The fine-tuning of each protocol, the same for every arm and task; sizes are ours, small enough for a laptop. A head
# on frozen features learns in fp32: how they differ can be too little for bf16.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "fewlabel": {
        "train": "all",
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-4},
        "trainer": {"epochs": 8, "clips_per_epoch": 800, "batch_size": 32},
    },
    "linear": {
        "train": "head",
        "optimizer": {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4},
        "trainer": {"epochs": 8, "clips_per_epoch": 800, "batch_size": 32, "precision": "fp32"},
    },
}


@dataclass(frozen=True)
class Trial:
    """One fine-tuning of a protocol."""

    protocol: str
    task: str
    budget: int
    arm: str
    seed: int
    start_from: str

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.task}-{self.budget}-{self.arm}-{self.seed}"


def evaluate(
    runs: Sequence[str | Path],
    *,
    protocol: str = "fewlabel",
    budgets: Sequence[int] = (2, 6),
    seeds: int = 3,
    tasks: Sequence[str] = TASKS,
    out: str | Path | None = None,
) -> Path:
    """Compares pretrained encoders with random initialisation.

    For each task, number of labelled cines and seed, the encoder of each run and a random one are trained alike on the
    same labelled cines, as the protocol says, and measured on the test patients.

    Args:
        runs: finished pretraining runs; an arm each, named by its folder.
        protocol: `fewlabel` (all weights are trained) or `linear` (the head alone).
        budgets: numbers of labelled cines.
        seeds: number of seeds; they choose the labelled cines, the head's first weights and the order of the frames.
        tasks: those evaluated.
        out: the folder for the trials and `results.json`; beside the first run where None.

    Returns:
        `results.json`: every trial's metrics, the mean with its 95 % interval for each arm, and the paired difference
        to random initialisation.

    Raises:
        UsageError: a run is missing or unfinished, or the protocol is unknown.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol {protocol!r}; known are: {', '.join(PROTOCOLS)}")
    opened = [Run.open(run) for run in runs]
    recipes = [run.recipe() for run in opened]
    for run, found in zip(opened, recipes, strict=True):
        if not isinstance(found, PretrainRecipe) or not run.finished:
            raise UsageError(f"{run.path} is not a finished pretraining run")
    out = Path(out) if out else opened[0].path.parent / f"{opened[0].path.name}-{protocol}"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror or error}") from None
    arms = {RANDOM: RANDOM} | {run.path.name: str(run.path) for run in opened}
    trials = [
        Trial(protocol, task, budget, arm, seed, start)
        for task in tasks
        for budget in budgets
        for seed in range(seeds)
        for arm, start in arms.items()
    ]
    recipe = recipes[0]
    assert isinstance(recipe, PretrainRecipe)
    rows = [asdict(trial) | measure_trial(trial, recipe, out) for trial in track(trials, "Evaluating", unit="trial")]
    results = {"protocol": protocol, "trials": rows, "summary": summarise(rows)}
    write_text(out / "results.json", json.dumps(results, indent=1) + "\n")
    return out / "results.json"


def trial_recipe(recipe: PretrainRecipe, trial: Trial) -> FinetuneRecipe:
    """The fine-tuning recipe of a trial: data and encoder of the pretraining, the rest fixed by the protocol."""
    content = recipe.model_dump(mode="json")
    settings = PROTOCOLS[trial.protocol]
    typed = read_recipe(
        {
            "seed": trial.seed,
            "data": {key: content["data"][key] for key in DataArguments.model_fields}
            | {"labelled_cines": trial.budget},
            "encoder": content["encoder"],
            "task": {"name": trial.task},
            "start_from": trial.start_from,
            "train": settings["train"],
            "optimizer": settings["optimizer"],
            "schedule": {"name": "cosine", "warmup_epochs": 1},
            "trainer": settings["trainer"] | {"device": content["trainer"]["device"]},
            "tracking": {"tensorboard": False},
        }
    )
    assert isinstance(typed, FinetuneRecipe)
    return typed


def measure_trial(trial: Trial, recipe: PretrainRecipe, out: Path) -> dict[str, Any]:
    """Runs a trial, or takes it up.

    Args:
        trial: what is trained on what.
        recipe: of the pretraining whose data it shares.
        out: the folder of the trials.

    Returns:
        `run`, the name of its folder, and `metrics` on the test cines.
    """
    folder = out / trial.name
    run = finetune(trial_recipe(recipe, trial), out=folder, resume=folder.exists())
    result = json.loads((run.path / "test.json").read_text())
    return {"run": folder.name, "metrics": result["metrics"]}


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and 95 % interval over seeds for each task, budget, metric and arm; paired difference to random."""
    lines = []
    for task, budget in sorted({(row["task"], row["budget"]) for row in rows}):
        chosen = [row for row in rows if (row["task"], row["budget"]) == (task, budget)]
        arms = list(dict.fromkeys(row["arm"] for row in chosen))
        for metric in [name for name in chosen[0]["metrics"] if name in HIGHER_IS_BETTER]:
            values = {
                arm: [row["metrics"][metric] for row in sorted(chosen, key=lambda r: r["seed"]) if row["arm"] == arm]
                for arm in arms
            }
            for arm in arms:
                line: dict[str, Any] = {
                    "task": task,
                    "budget": budget,
                    "metric": metric,
                    "arm": arm,
                    "values": values[arm],
                }
                line |= {"higher_is_better": HIGHER_IS_BETTER[metric], "interval": asdict(mean_interval(values[arm]))}
                if arm != RANDOM and len(values[arm]) > 1:
                    line["difference_to_random"] = asdict(paired_interval(values[arm], values[RANDOM]))
                lines.append(line)
    return lines
