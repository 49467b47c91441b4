"""CVRL's claims: one draw of the augmentation a clip, and rarer positives the farther they lie apart (methods/cvrl).

The toy is tissue that moves past the probe: speckle that drifts across the frame. Its grain and its speed are the
cine's own; the direction turns by half a circle from the first frame to the last, so that the end of a cine shows the
opposite of its beginning. What moves how is what the probes ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usssl.data import Store
from usssl.engine.pretraining import build_method, pretrain, split_cines
from usssl.engine.reproduce.claim import Claim, Comparison, Metric
from usssl.engine.reproduce.probes import clip_features, linear_accuracy, r_squared, ridge
from usssl.engine.reproduce.toys import texture, write_store
from usssl.recipe import PretrainRecipe, read_recipe

SIZE, LENGTH, FPS = (32, 32), 96, 24.0
FRAMES = 8
SPEED = (0.5, 2.0)
DIRECTIONS = 8
TRAIN, TEST = 256, 128
CLIPS = 6
STEPS, BATCH = 600, 32

ARMS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "each frame": ("an augmentation drawn for each frame, decreasing gaps", {"consistent": False}),
    "uniform": ("one draw a clip, any gap alike", {"law": "uniform"}),
    "cvrl": ("one draw a clip, decreasing gaps: the method", {}),
    "untrained": ("the encoder before any training, for orientation", None),
}


def motion(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Speed, pixels a frame, and the direction in each frame `(T,)`, radians: it turns by half a circle."""
    speed = float(np.exp(rng.uniform(*np.log(SPEED))))
    turn = rng.choice([-np.pi, np.pi]) * np.arange(LENGTH) / (LENGTH - 1)
    return speed, rng.uniform(-np.pi, np.pi) + turn


def drift(number: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Cine `number`: frames `(T, height, width)`, speed and directions; see `motion`."""
    rng = np.random.default_rng((11, number))
    speed, direction = motion(rng)
    tissue = texture(rng, (2 * SIZE[0], 2 * SIZE[1]), float(rng.uniform(1.0, 2.0)))
    moved = np.cumsum(speed * np.stack([np.sin(direction), np.cos(direction)]), axis=1)
    frames = 100 + 40 * shifted(tissue, moved)[:, : SIZE[0], : SIZE[1]]
    frames *= 1 + 0.1 * rng.standard_normal(frames.shape)
    return np.clip(frames, 5, 255).astype(np.uint8), speed, direction


def shifted(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A periodic image moved by `by` `(2, T)` rows and columns: `(T, height, width)`; exact where it is band-limited."""
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    phase = rows[:, None] * by[0][:, None, None] + columns[None, :] * by[1][:, None, None]
    return np.fft.irfft2(np.fft.rfft2(image) * np.exp(-2j * np.pi * phase), s=image.shape)


def store(folder: Path) -> Store:
    """The toy, the same for all arms and seeds; the cine's number is in its name."""
    splits = ["train"] * TRAIN + ["test"] * TEST
    cines = {f"drift{number:03d}": drift(number)[0] for number in range(len(splits))}
    labels = [{"file": name, "split": split} for name, split in zip(cines, splits, strict=True)]
    return write_store(folder / "data", cines, labels, size=SIZE, fps=FPS)


def recipe(source: Path, arm: str, seed: int, steps: int = STEPS) -> PretrainRecipe:
    """The recipe of an arm: all are alike but for the switch that the arm is about."""
    method = {"name": "cvrl", "hidden": 128, "hidden_layers": 2, "dim": 64, "head_momentum": 0.1}
    typed = read_recipe(
        {
            "seed": seed,
            "data": {
                "source": str(source),
                "clip": {"frames": FRAMES, "step": 1, "size": SIZE},
                "margin": 1,
                "mask": False,
            },
            "encoder": {"name": "r3d18", "width": 0.125},
            "method": method | (ARMS[arm][1] or {}),
            "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
            "trainer": {"epochs": 5, "clips_per_epoch": steps // 5 * BATCH, "batch_size": BATCH, "precision": "fp32"},
            "tracking": {"tensorboard": False},
        }
    )
    assert isinstance(typed, PretrainRecipe)
    return typed


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Trains an arm and probes its encoder for the motion that a clip shows."""
    toy = store(folder)
    typed = recipe(toy.path, arm, seed)
    torch.manual_seed(seed)
    encoder = build_method(typed).encoder
    if ARMS[arm][1] is not None:
        path = folder / "runs" / f"{arm}-{seed}"
        encoder.load_state_dict(pretrain(typed, out=path, resume=path.exists()).load_weights("encoder"))
    return probe(toy, encoder, seed)


def probe(toy: Store, encoder: Any, seed: int) -> dict[str, float]:
    """What a linear probe of clips of the training cines tells of clips of the test cines."""
    seen, ways, speeds = clips(toy, "train", seed, encoder)
    new, true_ways, true_speeds = clips(toy, "test", seed, encoder)
    return {
        "direction_accuracy": linear_accuracy(seen, sector(ways), new, sector(true_ways)),
        "speed_r2": r_squared(np.log(true_speeds), ridge(seen, np.log(speeds), new)),
    }


def sector(direction: np.ndarray) -> np.ndarray:
    """Which of `DIRECTIONS` equal sectors, the first about 0, a direction in radians lies in."""
    return np.round(direction / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS


def clips(toy: Store, split: str, seed: int, encoder: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of clips anywhere in the cines of a split, the direction in the middle of each, and its speed."""
    rng = np.random.default_rng((seed, split == "test"))
    cines = np.repeat(split_cines(toy, split), CLIPS)
    starts = rng.integers(LENGTH - FRAMES + 1, size=len(cines))
    features = clip_features(
        encoder, toy, [(int(cine), start + np.arange(FRAMES)) for cine, start in zip(cines, starts, strict=True)]
    )
    files = toy.table["path"].to_pylist()
    moves = {cine: motion(np.random.default_rng((11, int(Path(files[cine]).stem[-3:])))) for cine in set(cines)}
    ways = [moves[cine][1][start + FRAMES // 2] for cine, start in zip(cines, starts, strict=True)]
    return features, np.array(ways), np.array([moves[cine][0] for cine in cines])


CLAIM = Claim(
    name="cvrl",
    statement="an encoder keeps more of the motion in a clip when each clip is augmented by one draw than when each "
    "frame is, and when gaps between positives follow the decreasing law than when all are alike",
    source="Qian et al., CVPR 2021, abstract: temporally consistent spatial augmentation, and a decreasing distribution "
    "of the interval between two clips",
    data=f"{TRAIN} + {TEST} toy cines of drifting speckle, {SIZE[0]} x {SIZE[1]}, {LENGTH} frames, whose direction "
    "turns by half a circle",
    arms={arm: words for arm, (words, _) in ARMS.items()},
    seeds=(0, 1, 2, 3, 4),
    metrics=(
        Metric("direction_accuracy", "linear probe: which of 8 ways the tissue of a test cine moves", chance=0.125),
        Metric("speed_r2", "linear probe: variance explained of the logarithm of its speed", chance=0.0),
    ),
    comparisons=(
        Comparison("cvrl", "each frame", "direction_accuracy"),
        Comparison("cvrl", "uniform", "direction_accuracy"),
        Comparison("cvrl", "each frame", "speed_r2", part=False),
        Comparison("cvrl", "uniform", "speed_r2", part=False),
    ),
    measure=measure,
)
