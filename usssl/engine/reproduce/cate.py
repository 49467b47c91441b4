"""CATE's claim: told how two views differ in time, an encoder keeps what time changes (methods/cate, section 7).

The toy is an organ that turns: a dark ellipse over static tissue, lying at the first frame and upright at the last.
The tissue tells the cine, the ellipse the time. Contrastive learning alone has no use for the ellipse, because its
direction differs between two views of a cine. (An organ that grows is no test: the area of a dark disc is in the mean
grey level, which the pooled features of any encoder hold, trained or not.)
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
from usssl.engine.reproduce.toys import texture, write_store
from usssl.engine.reproduce.training import ToyEncoder, train
from usssl.methods import Method

SIZE, LENGTH, FPS = (32, 32), 40, 20.0
FRAMES, STEP = 2, 2
AXES = (10.0, 4.0)
TRAIN, TEST = 128, 96
PAIRS = 1024
STEPS, BATCH, LEARNING_RATE = 300, 24, 2e-3
METHOD = {"width": 64, "layers": 1, "heads": 2, "dim": 64, "temperature": 0.1}

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("told nothing: plain contrastive learning", {"encodings": {"kinds": []}}),
    "shuffled": ("told another pair's time and crop", {"encodings": {"shuffled": True}}),
    "true": ("told its own time and crop", {}),
    "untrained": ("the encoder before any training, for orientation", {}),
}


def organ(rng: np.random.Generator) -> np.ndarray:
    """A cine `(T, height, width)` of an organ that turns at the same rate in all cines; tissue and place differ."""
    grain = (float(rng.uniform(0.6, 3.0)), float(rng.uniform(0.6, 3.0)))  # coarse or fine, and along which axis
    tissue = 90 + 20 * texture(rng, SIZE, grain)
    y, x = rng.uniform(12, 20, size=2)
    lumen = ellipse(y, x, np.pi / 2 * np.arange(LENGTH) / (LENGTH - 1))
    frames = (1 - lumen) * tissue + lumen * 25
    speckle = 1 + 0.15 * rng.standard_normal(frames.shape)
    return np.clip(frames * speckle, 5, 255).astype(np.uint8)


def ellipse(y: float, x: float, angle: np.ndarray) -> np.ndarray:
    """An ellipse with soft edges, `(T, height, width)` from 0 to 1: centre in pixels, `angle` of each frame `(T,)`."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] - np.array([y, x])[:, None, None]
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    distance = np.hypot(along / AXES[0], across / AXES[1])
    found: np.ndarray = np.clip((1 - distance) * AXES[1] + 0.5, 0.0, 1.0)
    return found


def store(folder: Path) -> Store:
    """The toy, the same for all arms and seeds."""
    splits = ["train"] * TRAIN + ["test"] * TEST
    cines = {f"organ{number:03d}": organ(np.random.default_rng((7, number))) for number in range(len(splits))}
    labels = [{"file": name, "split": split} for name, split in zip(cines, splits, strict=True)]
    return write_store(folder / "data", cines, labels, size=SIZE, fps=FPS)


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Trains an arm and probes its encoder for the time between two clips of a cine."""
    toy = store(folder)
    method = build(arm, seed)
    if arm != "untrained":
        train(method, toy, steps=STEPS, batch_size=BATCH, lr=LEARNING_RATE, seed=seed)
    seen, shifts = pairs(toy, "train", seed, method.encoder)
    new, truth = pairs(toy, "test", seed, method.encoder)
    moved = shifts != 0, truth != 0
    sign = linear_accuracy(seen[moved[0]], np.sign(shifts[moved[0]]), new[moved[1]], np.sign(truth[moved[1]]))
    return {"shift_sign_accuracy": sign, "shift_r2": r_squared(truth, ridge(seen, shifts, new))}


def build(arm: str, seed: int) -> Method:
    """The method of an arm: all are alike, the encoder's first weights too, but for what the head is told."""
    torch.manual_seed(seed)
    changes = ARMS[arm][1]
    encodings = {"kinds": ["time", "crop"], "max_shift_s": 1.0, "sinusoids": 8, **changes.get("encodings", {})}
    clip = ClipArguments(frames=FRAMES, step=STEP, size=SIZE)
    arguments = {**METHOD, **changes, "encodings": encodings}
    return methods.build("cate", encoder=ToyEncoder(), clip=clip, **arguments)


def pairs(toy: Store, split: str, seed: int, encoder: Any) -> tuple[np.ndarray, np.ndarray]:
    """`[h_a; h_b; h_b - h_a]` of pairs of clips of one cine, and `t_b - t_a` in seconds."""
    rng = np.random.default_rng((seed, split == "test"))
    cines = rng.choice(split_cines(toy, split), size=PAIRS)
    starts = rng.integers(LENGTH - STEP * (FRAMES - 1), size=(2, PAIRS))
    a, b = (
        clip_features(
            encoder,
            toy,
            [(int(cine), start + STEP * np.arange(FRAMES)) for cine, start in zip(cines, side, strict=True)],
        )
        for side in starts
    )
    return np.concatenate([a, b, b - a], axis=1), (starts[1] - starts[0]) / FPS


CLAIM = Claim(
    name="cate",
    statement="told the true time and crop between two views, an encoder keeps time-shift information that training "
    "without encodings or with shuffled ones loses",
    source="Sun et al., ICCV 2021, abstract: the learnt features retain the information of the specified augmentations",
    data=f"{TRAIN} + {TEST} toy cines of an organ that turns, {SIZE[0]} x {SIZE[1]}, {LENGTH} frames at {FPS:.0f} fps",
    arms={arm: words for arm, (words, _) in ARMS.items()},
    seeds=(0, 1, 2),
    metrics=(
        Metric("shift_sign_accuracy", "linear probe: which of two clips of a test cine comes first", chance=0.5),
        Metric("shift_r2", "linear probe: variance explained of the time between two clips", chance=0.0),
    ),
    comparisons=(
        Comparison("true", "none", "shift_sign_accuracy"),
        Comparison("true", "shuffled", "shift_sign_accuracy"),
        Comparison("true", "none", "shift_r2", part=False),
        Comparison("true", "shuffled", "shift_r2", part=False),
        Comparison("none", "untrained", "shift_sign_accuracy", part=False),
    ),
    measure=measure,
)
