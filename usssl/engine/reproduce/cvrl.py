"""CVRL's claims: one draw of the augmentation a clip, and rarer positives the farther they lie apart (methods/cvrl).

The toy is a sweep over fibrous tissue that is perfused. How fast its speckle changes is the cine's own, and shows in
the change from frame to frame alone: what an augmentation drawn for each frame drowns. The angle of the fibres changes
as the probe turns; at the end of a cine they lie across those at its beginning. If all gaps are alike, the fibres of
two positives lie at any angle to each other; by the decreasing law most lie alike.
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
from usssl.engine.reproduce.probes import clip_features, r_squared, ridge
from usssl.engine.reproduce.toys import write_store
from usssl.engine.reproduce.training import ToyEncoder, train
from usssl.methods import Method

SIZE, LENGTH, FPS = (32, 32), 60, 24.0
FRAMES = 4
FLOW = (0.0, 1.0)
TRAIN, TEST = 192, 96
CLIPS = 8
STEPS, BATCH, LEARNING_RATE = 300, 32, 3e-3
LAYERS = 3  # of five, none learnt the angle in so few steps
METHOD: dict[str, Any] = {"hidden": 64, "hidden_layers": 2, "dim": 32, "head_momentum": 0.1}

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "each frame": ("an augmentation drawn for each frame, decreasing gaps", {"consistent": False}),
    "uniform": ("one draw a clip, any gap alike", {"law": "uniform"}),
    "cvrl": ("one draw a clip, decreasing gaps: the method", {}),
    "untrained": ("the encoder before any training, for orientation", {}),
}


def facts(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """What the probes ask for: the flow of a cine, and the angle of its fibres in each frame `(T,)`, radians.

    Flow is the share of the speckle's variance that is new in each frame, 0 where it rests. The angle, which means the
    same after half a turn, goes through a quarter of a turn from the first clip to past the last.
    """
    flow = float(rng.uniform(*FLOW))
    turn = rng.choice([-np.pi / 2, np.pi / 2]) * np.arange(LENGTH) / (LENGTH - FRAMES + 1)
    return flow, rng.uniform(0, np.pi) + turn


def sweep(number: int) -> np.ndarray:
    """Cine `number`, uint8 `(T, height, width)`: fibrous tissue that is perfused while the probe turns; see `facts`."""
    rng = np.random.default_rng((11, number))
    flow, angle = facts(rng)
    noise = rng.standard_normal((LENGTH, *SIZE))
    for t in range(1, LENGTH):
        noise[t] = np.sqrt(1 - flow) * noise[t - 1] + np.sqrt(flow) * noise[t]
    frames = np.clip(100 + 40 * fibres(noise, angle), 5, 255)
    return frames.astype(np.uint8)


def fibres(noise: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """White noise `(T, height, width)` blurred along an angle in each frame: deviation 3 pixels along, 1 across.

    An angle of 0 lies along the rows; the result has a standard deviation of about 1.
    """
    rows, columns = (np.fft.fftfreq(count) for count in noise.shape[1:])
    along = np.cos(angle)[:, None, None] * columns + np.sin(angle)[:, None, None] * rows[:, None]
    across = np.cos(angle)[:, None, None] * rows[:, None] - np.sin(angle)[:, None, None] * columns
    kept = np.exp(-2 * np.pi**2 * ((3 * along) ** 2 + across**2))
    blurred = np.fft.ifft2(np.fft.fft2(noise) * kept).real
    return np.asarray(blurred / np.sqrt((kept**2).mean(axis=(1, 2), keepdims=True)))


def store(folder: Path) -> Store:
    """The toy, the same for all arms and seeds; the cine's number is in its name."""
    splits = ["train"] * TRAIN + ["test"] * TEST
    cines = {f"sweep{number:03d}": sweep(number) for number in range(len(splits))}
    labels = [{"file": name, "split": split} for name, split in zip(cines, splits, strict=True)]
    return write_store(folder / "data", cines, labels, size=SIZE, fps=FPS)


def build(arm: str, seed: int) -> Method:
    """The method of an arm: all are alike, their first weights too, but for the switch that the arm is about."""
    torch.manual_seed(seed)
    clip = ClipArguments(frames=FRAMES, step=1, size=SIZE)
    return methods.build("cvrl", encoder=ToyEncoder(layers=LAYERS), clip=clip, **{**METHOD, **ARMS[arm][1]})


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    """Trains an arm and probes its encoder for what a clip shows."""
    toy, method = store(folder), build(arm, seed)
    if arm != "untrained":
        train(method, toy, steps=STEPS, batch_size=BATCH, lr=LEARNING_RATE, seed=seed)
    return probe(toy, method.encoder, seed)


def probe(toy: Store, encoder: Any, seed: int) -> dict[str, float]:
    """What a linear probe of clips of the training cines tells of clips of the test cines."""
    seen, flows, angles = clips(toy, "train", seed, encoder)
    new, true_flows, true_angles = clips(toy, "test", seed, encoder)
    return {
        "flow_r2": r_squared(true_flows, ridge(seen, flows, new)),
        "angle_r2": r_squared(doubled(true_angles), ridge(seen, doubled(angles), new)),
    }


def doubled(angles: np.ndarray) -> np.ndarray:
    """Angles that mean the same after half a turn as points of the unit circle, `(n, 2)`."""
    return np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1)


def clips(toy: Store, split: str, seed: int, encoder: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of clips anywhere in the cines of a split, with the flow and the angle in the middle of each."""
    rng = np.random.default_rng((seed, split == "test"))
    cines = np.repeat(split_cines(toy, split), CLIPS)
    starts = rng.integers(LENGTH - FRAMES + 1, size=len(cines))
    features = clip_features(
        encoder, toy, [(int(cine), start + np.arange(FRAMES)) for cine, start in zip(cines, starts, strict=True)]
    )
    files = toy.table["path"].to_pylist()
    known = {cine: facts(np.random.default_rng((11, int(Path(files[cine]).stem[-3:])))) for cine in set(cines)}
    angles = [known[cine][1][start + FRAMES // 2] for cine, start in zip(cines, starts, strict=True)]
    return features, np.array([known[cine][0] for cine in cines]), np.array(angles)


CLAIM = Claim(
    name="cvrl",
    statement="an encoder keeps what shows in the change from frame to frame when each clip is augmented by one draw "
    "rather than each frame, and what changes within a cine when gaps follow the decreasing law rather than any alike",
    source="Qian et al., CVPR 2021, abstract: temporally consistent spatial augmentation, and a distribution of the "
    "interval between two clips that decreases",
    data=f"{TRAIN} + {TEST} toy cines of fibrous tissue, {SIZE[0]} x {SIZE[1]}, {LENGTH} frames, whose speckle flows "
    "and whose fibres turn",
    arms={arm: words for arm, (words, _) in ARMS.items()},
    seeds=(10, 11, 12),
    metrics=(
        Metric("flow_r2", "linear probe: variance explained of the flow in test cines", chance=0.0),
        Metric("angle_r2", "linear probe: the same of the angle of the fibres", chance=0.0),
    ),
    comparisons=(
        Comparison("cvrl", "each frame", "flow_r2"),
        Comparison("cvrl", "uniform", "angle_r2"),
        Comparison("cvrl", "uniform", "flow_r2", part=False),
        Comparison("cvrl", "each frame", "angle_r2", part=False),
    ),
    measure=measure,
)
