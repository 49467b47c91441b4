"""CEP's claim: predictions whose loops close teach an encoder more than predictions alone (methods/cep).

The toy is a heart that beats: a dark disc that swells and shrinks in static tissue. Its next moments follow from where
it is in its beat, and so do those before: a phase that can be led forward and back again. The probe asks for that
phase, for which the size of the disc is not enough: it must be known whether it grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usssl import methods
from usssl.arguments import ClipArguments
from usssl.data import Store
from usssl.engine.pretraining import split_cines
from usssl.engine.reproduce.claim import Claim, Comparison, Metric
from usssl.engine.reproduce.probes import clip_features, linear_accuracy, r_squared, ridge
from usssl.engine.reproduce.toys import disc, texture, write_store
from usssl.engine.reproduce.training import ToyEncoder, train
from usssl.methods import Method

SIZE, LENGTH, FPS = (32, 32), 60, 24.0
FRAMES = 4
PERIOD = (18.0, 36.0)
TRAIN, TEST = 192, 96
CLIPS = 8
STEPS, BATCH, LEARNING_RATE = 200, 16, 3e-3
METHOD: dict[str, Any] = {"dim": 32, "hidden": 64, "queue": 64, "bn_groups": 1}

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "predictions": ("contrast and predictions, no cycles", {"cycle_weight": 0.0}),
    "cycles": ("the same and cycles, as released (weight 0.1)", {}),
    "contrast": ("contrast alone", {"prediction_weight": 0.0, "cycle_weight": 0.0}),
    "untrained": ("the encoder before any training, for orientation", {}),
}


def phase(rng: np.random.Generator) -> np.ndarray:
    """Where a heart is in its beat in each frame `(T,)`, radians, 0 where it is largest; the period is the cine's."""
    return rng.uniform(-np.pi, np.pi) + 2 * np.pi / rng.uniform(*PERIOD) * np.arange(LENGTH)


def heart(number: int) -> np.ndarray:
    """Cine `number`, uint8 `(T, height, width)`: a lumen that beats; see `phase`."""
    rng = np.random.default_rng((13, number))
    beat = np.cos(phase(rng))
    radius = rng.uniform(6, 8) + rng.uniform(1.0, 2.5) * beat
    y, x = rng.uniform(12, 20, size=(2, 1)).repeat(LENGTH, axis=1)
    lumen = disc(SIZE, y, x, radius)
    frames = (1 - lumen) * (100 + 18 * texture(rng, SIZE, 2.0)) + lumen * 25
    frames *= 1 + 0.25 * rng.standard_normal(frames.shape)
    return np.clip(frames, 5, 255).astype(np.uint8)


def store(folder: Path) -> Store:
    """The toy, the same for all arms and seeds; the cine's number is in its name."""
    splits = ["train"] * TRAIN + ["test"] * TEST
    cines = {f"heart{number:03d}": heart(number) for number in range(len(splits))}
    labels = [{"file": name, "split": split} for name, split in zip(cines, splits, strict=True)]
    return write_store(folder / "data", cines, labels, size=SIZE, fps=FPS)


def build(arm: str, seed: int) -> Method:
    """The method of an arm: all are alike, their first weights too, but for the switch that the arm is about."""
    torch.manual_seed(seed)
    clip = ClipArguments(frames=FRAMES, step=1, size=SIZE)
    return methods.build("cep", encoder=ToyEncoder(), clip=clip, **{**METHOD, **ARMS[arm][1]})


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Trains an arm and probes its encoder for what a clip shows."""
    toy, method = store(folder), build(arm, seed)
    if arm != "untrained":
        train(method, toy, steps=STEPS, batch_size=BATCH, lr=LEARNING_RATE, seed=seed)
    return probe(toy, method.encoder, seed)


def probe(toy: Store, encoder: Any, seed: int) -> dict[str, float]:
    """What a linear probe of clips of the training cines tells of clips of the test cines."""
    seen, phases = clips(toy, "train", seed, encoder)
    new, truth = clips(toy, "test", seed, encoder)
    told = r_squared(circle(truth), ridge(seen, circle(phases), new))
    return {"phase_r2": told, "growing_accuracy": linear_accuracy(seen, grows(phases), new, grows(truth))}


def circle(phases: np.ndarray) -> np.ndarray:
    """Phases as points of the unit circle, `(n, 2)`."""
    return np.stack([np.cos(phases), np.sin(phases)], axis=1)


def grows(phases: np.ndarray) -> np.ndarray:
    """Whether the disc, of radius `cos(phase)`, grows: 0 or 1."""
    return (np.sin(phases) < 0).astype(int)


def clips(toy: Store, split: str, seed: int, encoder: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features of clips anywhere in the cines of a split, and the phase in the middle of each."""
    rng = np.random.default_rng((seed, split == "test"))
    cines = np.repeat(split_cines(toy, split), CLIPS)
    starts = rng.integers(LENGTH - FRAMES + 1, size=len(cines))
    features = clip_features(
        encoder, toy, [(int(cine), start + np.arange(FRAMES)) for cine, start in zip(cines, starts, strict=True)]
    )
    files = toy.table["path"].to_pylist()
    beats = {cine: phase(np.random.default_rng((13, int(Path(files[cine]).stem[-3:])))) for cine in set(cines)}
    middle = (FRAMES - 1) / 2
    found = [
        np.interp(start + middle, np.arange(LENGTH), beats[cine]) for cine, start in zip(cines, starts, strict=True)
    ]
    return features, np.array(found)


CLAIM = Claim(
    name="cep",
    statement="an encoder knows more of the phase of a beat when the loops of its predictions are closed than when it "
    "predicts forward and back alone",
    source="Yang, Mirmehdi, Burghardt, BMVC 2021, abstract: forward-backward and backward-forward loops close",
    data=f"{TRAIN} + {TEST} toy cines of a heart that beats, {SIZE[0]} x {SIZE[1]}, {LENGTH} frames",
    arms={arm: words for arm, (words, _) in ARMS.items()},
    seeds=(0, 1, 2, 3, 4),
    metrics=(
        Metric(
            "phase_r2", "linear probe: variance explained of cosine and sine of the phase in test cines", chance=0.0
        ),
        Metric("growing_accuracy", "linear probe: whether the lumen of a test cine grows or shrinks", chance=0.5),
    ),
    comparisons=(
        Comparison("cycles", "predictions", "phase_r2"),
        Comparison("predictions", "contrast", "phase_r2", part=False),
        Comparison("cycles", "predictions", "growing_accuracy", part=False),
    ),
    measure=measure,
)
