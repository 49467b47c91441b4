"""What the benchmarks of reading share: alternate rounds, medians, ratio lines, the machine and the versions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

ROUNDS = 5


def alternate(
    sides: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each side. They take turns, so that a busy spell of the machine hits all alike.

    Args:
        sides: what is timed, by name.
        rounds: turns of each.
        warm: runs each side once before, for the file cache and the imports.
        clock: seconds; `time.process_time` for work of one thread on a machine that others use, too.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values() if warm else ():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            started = clock()
            side()
            taken[name].append(clock() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def ratio_line(name: str, value: float, goal: float) -> bool:
    """Prints `RATIO …`; True where the goal is met."""
    print(f"RATIO {name} {value:.2f} goal >={goal:g}", flush=True)
    return value >= goal


def print_machine(packages: Sequence[str]) -> None:
    """Prints the processor, the cores and the versions of the packages that are measured."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"machine: {model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}{load}")
    print("versions: " + ", ".join(f"{name} {_version(name)}" for name in packages))


def speckle_cine(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A cine of drifting, slowly decorrelating speckle in a dark frame: uint8 `(frames, height, width)`."""
    import cv2

    rng = np.random.default_rng(seed)
    field = rng.normal(size=(2, height, width)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    depth = np.hypot(rows + 40, columns - width / 2)
    sector = (np.abs(np.arctan2(columns - width / 2, rows + 40)) < 0.6) & (depth < height)
    cine = np.empty((frames, height, width), np.uint8)
    for n in range(frames):
        fresh = rng.normal(size=field.shape).astype(np.float32)
        field = np.roll(0.98 * field + 0.2 * fresh, 1, axis=2)
        smooth = [cv2.GaussianBlur(part, (0, 0), sigmaX=2.5, sigmaY=1.2) for part in field]
        envelope = np.hypot(*smooth)
        level = 20 * np.log10(envelope / envelope.max() + 1e-4) + 45
        cine[n] = np.where(sector, np.clip(level * 255 / 45, 0, 255), 0)
    return cine


def is_installed(package: str) -> bool:
    """True where the peer can be imported; says so where it cannot."""
    if importlib.util.find_spec(package) is not None:
        return True
    print(f"peer {package} is not installed and is left out (pip install 'usssl[bench]')")
    return False


def torchvision_operators() -> object:
    """Declares what PyPI's torchvision registers with its CUDA half only; keep the result, or it is taken back."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    if not torch.version.cuda:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
