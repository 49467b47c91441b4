"""VTDL's claim: the triplet and Temporal Consistent Augmentation each add (methods/vtdl, section 8).

The toy is a target that moves over static tissue, four movements a cine. The tissue alone tells cines apart, so that
contrast between cines needs no motion; two times of one cine differ by nothing but the motion. Where the target is in
each frame is the shortcut that is left, since anchor and positive show the same frames; TCA alters it and keeps motion.
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
from usssl.engine.reproduce.probes import clip_features, knn_accuracy, linear_accuracy
from usssl.engine.reproduce.toys import disc, texture, write_store
from usssl.engine.reproduce.training import ToyEncoder, train
from usssl.methods import Method

SIZE, FPS = (32, 32), 20.0
SEGMENT, SEGMENTS = 16, 4
FRAMES = 8
TRAIN, TEST = 96, 96
STEPS, BATCH, LEARNING_RATE = 300, 16, 2e-3
METHOD = {"queue": 80, "momentum": 0.97, "dim": 64, "tca": 0.1, "min_distance": SEGMENT, "bn_groups": 2}

# Axes of an ellipse (rows, columns), cycles a segment, and the sense of rotation.
MOVEMENTS = (
    (0.0, 5.0, 1, 1),
    (0.0, 5.0, 2, 1),
    (5.0, 0.0, 1, 1),
    (5.0, 0.0, 2, 1),
    (4.0, 4.0, 1, 1),
    (4.0, 4.0, 1, -1),
)

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "neither": ("negatives from other cines alone, no TCA", {"triplet": False, "tca": 0}),
    "no triplet": ("negatives from other cines alone, with TCA", {"triplet": False}),
    "no TCA": ("with the negative from another time of the cine, no TCA", {"tca": 0}),
    "full": ("VTDL: triplet and TCA", {}),
    "untrained": ("the encoder before any training, for orientation", {}),
}


def movements(number: int) -> np.ndarray:
    """The movements of a cine, one a segment, all different: `(segments,)` indices."""
    return np.random.default_rng((8, number)).permutation(len(MOVEMENTS))[:SEGMENTS]


def target(number: int) -> np.ndarray:
    """A cine `(T, height, width)` of a target that moves; tissue, tone and home of the target are the cine's own."""
    rng = np.random.default_rng((9, number))
    grain = (float(rng.uniform(0.6, 3.0)), float(rng.uniform(0.6, 3.0)))  # coarse or fine, and along which axis
    tissue = 90 + 25 * texture(rng, SIZE, grain)
    home, radius, tone = rng.uniform(13, 19, size=2), rng.uniform(3, 4.5), rng.uniform(0, 40)
    path = []
    for one in movements(number):
        rows, columns, cycles, sense = MOVEMENTS[one]
        angle = sense * (2 * np.pi * cycles * np.arange(SEGMENT) / SEGMENT) + rng.uniform(0, 2 * np.pi)
        path.append(home[:, None] + [rows * np.sin(angle), columns * np.cos(angle)])
    y, x = np.concatenate(path, axis=1)
    shape = disc(SIZE, y, x, radius)
    frames = (1 - shape) * tissue + shape * (180 + tone)
    return np.clip(frames + 6 * rng.standard_normal(frames.shape), 5, 255).astype(np.uint8)


def store(folder: Path) -> Store:
    """The toy, the same for all arms and seeds."""
    splits = ["train"] * TRAIN + ["test"] * TEST
    cines = {f"target{number:03d}": target(number) for number in range(len(splits))}
    labels = [{"file": name, "split": split} for name, split in zip(cines, splits, strict=True)]
    return write_store(folder / "data", cines, labels, size=SIZE, fps=FPS)


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Trains an arm and reads the movement in clips of new cines from its encoder."""
    toy = store(folder)
    method = build(arm, seed)
    if arm != "untrained":
        train(method, toy, steps=STEPS, batch_size=BATCH, lr=LEARNING_RATE, seed=seed)
    (seen, classes), (new, truth) = (labelled(toy, split, method.encoder) for split in ("train", "test"))
    return {
        "knn_accuracy": knn_accuracy(seen, classes, new, truth),
        "linear_accuracy": linear_accuracy(seen, classes, new, truth),
    }


def build(arm: str, seed: int) -> Method:
    """The method of an arm: all are alike, their first weights too, but for the triplet and TCA."""
    torch.manual_seed(seed)
    clip = ClipArguments(frames=FRAMES, step=1, size=SIZE)
    return methods.build("vtdl", encoder=ToyEncoder(), clip=clip, **{**METHOD, **ARMS[arm][1]})


def labelled(toy: Store, split: str, encoder: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features of clips that show one movement each, three a segment, and the movements."""
    clips, classes = [], []
    for cine in split_cines(toy, split):
        number = int(Path(toy.table["path"][cine].as_py()).stem.removeprefix("target"))
        for place, one in enumerate(movements(number)):
            for start in place * SEGMENT + np.linspace(0, SEGMENT - FRAMES, 3).astype(int):
                clips.append((cine, start + np.arange(FRAMES)))
                classes.append(one)
    return clip_features(encoder, toy, clips), np.array(classes)


CLAIM = Claim(
    name="vtdl",
    statement="the negative from another time of the same cine adds to contrast between cines, and Temporal Consistent "
    "Augmentation adds to that",
    source="Wang et al., arXiv 2008.02129, and the table of its code: UCF101 top-1, fine-tuned, 63.3, with temporal "
    "discrimination 72.7, with TCA 82.3",
    data=f"{TRAIN} + {TEST} toy cines of a target that moves over tissue, {SIZE[0]} x {SIZE[1]}, "
    f"{SEGMENTS} movements of {SEGMENT} frames each, {len(MOVEMENTS)} kinds of movement",
    arms={arm: words for arm, (words, _) in ARMS.items()},
    seeds=(0, 1, 2, 3, 4),
    metrics=(
        Metric("knn_accuracy", "10 nearest clips of other cines: the movement in a clip", chance=1 / len(MOVEMENTS)),
        Metric("linear_accuracy", "linear probe: the same", chance=1 / len(MOVEMENTS)),
    ),
    comparisons=(
        Comparison("no TCA", "neither", "knn_accuracy"),
        Comparison("full", "no TCA", "knn_accuracy"),
        Comparison("full", "no triplet", "knn_accuracy", part=False),
        Comparison("no triplet", "neither", "knn_accuracy", part=False),
        Comparison("no TCA", "neither", "linear_accuracy", part=False),
        Comparison("full", "no TCA", "linear_accuracy", part=False),
    ),
    measure=measure,
)
