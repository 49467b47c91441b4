"""order_transform's claim: learning order and transformation helps find planes and saliency with few labels.

Unlabelled phantom sweeps are learned from, a run a seed, as `recipes/fetal.yaml` does but longer, from more patients
and from frames up to 18 apart. Then eight labelled cines, about four examples of each plane, teach planes and saliency,
and test patients are measured: with the encoder as it is (`linear`), and with all weights fine-tuned (`fewlabel`). Both
arms go through the same protocols of `usssl evaluate`, with the same choices of labelled cines; a value is the mean
over these choices. Seeds 0 to 3 served to choose how many cines are labelled and are not among those reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from usssl.engine.evaluation import Trial, measure_trial
from usssl.engine.finetuning import RANDOM
from usssl.engine.pretraining import pretrain
from usssl.engine.reproduce.claim import Claim, Comparison, Metric
from usssl.recipe import PretrainRecipe, read_recipe

PATIENTS, LABELLED_CINES = 192, 8
EPOCHS, CLIPS_PER_EPOCH = 30, 1920
METRICS = {"planes": ("macro_f1",), "saliency": ("kld", "nss")}


@dataclass(frozen=True)
class Way:
    """How labels are learned from: under what name, and with how many choices of labelled cines a seed."""

    name: str
    choices: int


WAYS = {"linear": Way("frozen", 5), "fewlabel": Way("fine_tuned", 2)}

ARMS = {RANDOM: "an encoder of random weights", "pretrained": "pretrained without labels by order_transform"}


def recipe(seed: int) -> PretrainRecipe:
    """That of `recipes/fetal.yaml`, with twice the patients, 2.8 times the steps, and clips of several steps."""
    content: dict[str, Any] = {
        "seed": seed,
        "data": {"source": f"samples:fetal:{PATIENTS}", "clip": {"frames": 4, "step": 6, "size": [64, 80]}},
        "encoder": {"name": "sononet16", "width": 0.5},
        "method": {
            "name": "order_transform",
            "more_steps": [10, 14, 18],
            "transform_weight": 1.0,
            "crop": [0.6, 1.0],
            "dropout": 0.2,
        },
        "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.05},
        "schedule": {"name": "cosine", "warmup_epochs": 1},
        "trainer": {"epochs": EPOCHS, "clips_per_epoch": CLIPS_PER_EPOCH, "batch_size": 16},
        "tracking": {"tensorboard": False},
    }
    typed = read_recipe(content)
    assert isinstance(typed, PretrainRecipe)
    return typed


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Pretrains where the arm says so, and measures both tasks by both protocols on the test patients."""
    runs = folder / "runs"
    typed, start = recipe(seed), RANDOM
    if arm != RANDOM:
        out = runs / f"pretrained-{seed}"
        start = str(pretrain(typed, out=out, resume=out.exists()).path)
    found: dict[str, float] = {}
    for protocol, way in WAYS.items():
        for task, names in METRICS.items():
            trials = [
                Trial(protocol, task, LABELLED_CINES, arm, way.choices * seed + choice, start)
                for choice in range(way.choices)
            ]
            metrics = [measure_trial(trial, typed, runs / protocol)["metrics"] for trial in trials]
            found |= {f"{task}_{name}_{way.name}": fmean(one[name] for one in metrics) for name in names}
    return found


def _metrics() -> tuple[Metric, ...]:
    words = {
        "macro_f1": "planes in the frames of test patients, mean F1 of the classes",
        "kld": "saliency of test patients, Kullback-Leibler divergence from the gaze",
        "nss": "saliency of test patients, normalised scanpath saliency at the gaze",
    }
    how = {"frozen": "head on a frozen encoder", "fine_tuned": "all weights fine-tuned"}
    return tuple(
        Metric(f"{task}_{name}_{way.name}", f"{words[name]}; {how[way.name]}", higher_is_better=name != "kld")
        for way in WAYS.values()
        for task, names in METRICS.items()
        for name in names
    )


CLAIM = Claim(
    name="order_transform",
    statement="an encoder pretrained by putting shuffled frames in order and predicting geometric transformations "
    "finds planes and saliency better than one of random weights, given few labels",
    source="Jiao et al., ISBI 2020, abstract; protocols after Droste et al., IPMI 2019",
    data=f"{PATIENTS} phantom fetal sweeps, one a patient, without labels; labels of {LABELLED_CINES} cines",
    arms=ARMS,
    seeds=(4, 5, 6, 7),
    metrics=_metrics(),
    comparisons=tuple(Comparison("pretrained", RANDOM, metric.name) for metric in _metrics()),
    measure=measure,
)
