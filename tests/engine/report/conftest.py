"""A report of made-up data that has every part."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from usssl.engine.report import (
    BundleFacts,
    Comparison,
    Confusion,
    Curves,
    Failure,
    Figure,
    Measured,
    PlaneFound,
    Report,
    SaliencyExample,
    ShortcutCheck,
    ShortcutChecks,
    Timeline,
)
from usssl.tasks.saliency import gaze_map

CLASSES = ("background", "transventricular", "transcerebellar", "abdomen", "femur", "four-chamber")


def made_up_frame(rng, height=240, width=320):
    """Speckle in a sector with a bright ring: enough to judge the page by."""
    rows, columns = np.mgrid[:height, :width]
    depth, angle = np.hypot(rows + 30, columns - width / 2), np.arctan2(columns - width / 2, rows + 30)
    speckle = cv2.GaussianBlur(rng.rayleigh(1.0, (height, width)), (0, 0), 1.2) * 60
    ring = 120 * np.exp(-((np.hypot((rows - 130) / 60, (columns - 160) / 80) - 1) ** 2) / 0.01)
    image = (speckle + ring) * (np.abs(angle) < 0.65) * (depth > 45) * (depth < 262)
    return np.clip(image, 0, 255).astype(np.uint8)


def made_up_curves(rng):
    steps = np.arange(10, 1210, 10)

    def falling(start, end, noise):
        return end + (start - end) * np.exp(-steps / 300) + rng.normal(0, noise, len(steps))

    order, transform = falling(2.48, 1.1, 0.06), falling(0.33, 0.08, 0.01)
    accuracy = np.clip(1 - falling(0.92, 0.4, 0.03), 0, 1)
    held_out = range(59, 120, 12)
    return {
        "loss": list(zip(steps, order + transform, strict=True)),
        "order_loss": list(zip(steps, order, strict=True)),
        "transform_loss": list(zip(steps, transform, strict=True)),
        "order_accuracy": list(zip(steps, accuracy, strict=True)),
        "lr": list(zip(steps, 0.005 * (1 + np.cos(np.pi * steps / 1200)), strict=True)),
        "data_wait": list(zip(steps, np.abs(rng.normal(0.02, 0.01, len(steps))), strict=True)),
        "clips_per_s": list(zip(steps, rng.normal(140, 9, len(steps)), strict=True)),
        "val_order_accuracy": [(float(steps[i]), float(accuracy[i] - 0.05)) for i in held_out],
        "val_order_loss": [(float(steps[i]), float(order[i] + 0.1)) for i in held_out],
    }


def made_up_timeline(rng):
    times = np.arange(180) / 15
    truth = np.repeat([0, 1, 0, 2, 0, 3, 4], [25, 35, 15, 30, 20, 30, 25])
    logits = rng.normal(0, 0.6, (180, 6)) + 4 * (np.arange(6) == np.roll(truth, 3)[:, None])
    logits = cv2.GaussianBlur(logits, (1, 9), 0, sigmaY=2)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Timeline("made-up/test-07.mp4", times, CLASSES, probabilities, truth)


@pytest.fixture
def full_report():
    rng = np.random.default_rng(0)
    frames = [made_up_frame(rng) for _ in range(6)]
    gaze = np.array([[110.0, 150.0], [128.0, 170.0], [140.0, 158.0]])
    counts = rng.integers(0, 9, (6, 6)) + np.diag([420, 88, 61, 97, 74, 55])
    return Report(
        title="Fetal planes from unlabelled sweeps",
        lead="Pretraining on 24 unlabelled sweeps, then 2 or 8 labelled ones. Three seeds, 12 test patients.",
        notice="Made-up numbers: this page only tests the report's looks.",
        figures=(
            Figure("Macro F1, pretrained, 2 cines", "0.612", "random start: 0.478"),
            Figure("Saliency KLD, pretrained", "0.94 nats", "random start: 1.31"),
            Figure("Order accuracy, held out", "0.55", "chance: 0.083"),
            Figure("Parity with PyTorch", "1.2e-6", "largest difference of a probability"),
        ),
        facts={"Method": "order_transform", "Encoder": "sononet16, width 1.0", "Time": "4 min 51 s on 2 cores"},
        recipe="seed: 0\ndata:\n  source: samples:fetal\nmethod:\n  name: order_transform\n",
        provenance={"usssl": "0.1.0", "torch": "2.13.0", "Catalogue": "sha256 " + "0f" * 32, "Command": "usssl demo"},
        curves=(
            Curves("Pretraining", made_up_curves(rng), {"order_accuracy": 1 / 12}),
            Curves("Fine-tuning, planes", {"loss": [(1, 1.8), (2, 1.2)], "val_macro_f1": [(1, 0.3), (2, 0.5)]}),
        ),
        comparisons=(
            Comparison(
                "macro F1",
                ("2 cines", "8 cines"),
                {
                    "random": ((0.46, 0.50, 0.475), (0.66, 0.70, 0.71)),
                    "pretrained": ((0.60, 0.63, 0.606), (0.70, 0.73, 0.72)),
                },
                task="planes",
                chance=1 / 6,
            ),
            Comparison(
                "KLD",
                ("2 cines", "8 cines"),
                {"random": ((1.3, 1.25, 1.4), (0.9, 0.95, 1.0)), "pretrained": ((0.9, 0.95, 1.0), (0.8, 1.02, 0.9))},
                higher_is_better=False,
                task="saliency",
            ),
            Comparison(
                "NSS",
                ("2 cines", "8 cines"),
                {"random": ((1.1, 1.2, 1.0), (1.9, 1.8, 2.1)), "pretrained": ((1.7, 1.6, 1.9), (2.2, 2.3, 2.25))},
                task="saliency",
                chance=0.0,
            ),
        ),
        confusions=(Confusion(CLASSES, counts, "Pretrained, 8 labelled cines, seed 0"),),
        saliency=tuple(
            SaliencyExample(
                f"made-up/test-0{number}.mp4",
                1.25 * number,
                frames[number],
                gaze_map((gaze + 40 * number) * (56 / 240, 72 / 320), (56, 72), 6),
                gaze_map(gaze, (240, 320), 18),
                gaze,
                {"KLD": 0.91, "NSS": 1.7, "CC": 0.6},
            )
            for number in range(2)
        ),
        planes=tuple(
            PlaneFound(plane, f"made-up/test-{number:02}.mp4", 2.5 * number, 0.97 - 0.1 * number, frames[number], truth)
            for number, (plane, truth) in enumerate(zip(CLASSES[1:], (*CLASSES[1:5], "background"), strict=True))
        ),
        timelines=(made_up_timeline(rng),),
        shortcuts=ShortcutChecks(
            (
                ShortcutCheck("Held-out patients", 0.55, 0.51, 0.59, "well above chance", True),
                ShortcutCheck("Borders masked", 0.54, 0.50, 0.58, "as held out", True),
                ShortcutCheck("Frozen cines", 0.085, 0.07, 0.10, "chance", True),
            ),
            1 / 12,
        ),
        bundles=(
            BundleFacts(
                "runs/demo/planes",
                {"Task": "planes", "Parity": "1.2e-6 over 32 real frames", "Model": "0.9 MB"},
                (Measured("macro F1", 0.72, 0.66, 0.77, "12 test patients"), Measured("ECE", 0.04)),
            ),
        ),
        failures=(Failure("made-up/broken.mp4", "the file ends in the middle of a frame"),),
    )
