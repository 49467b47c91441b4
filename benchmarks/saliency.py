"""Saliency frames a second (CC, SIM, NSS and KL at 480 x 640), ours over pysaliency.

Of pysaliency only `metrics.py` is loaded, which needs nothing but NumPy; importing the package needs many more.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from usssl.tasks import saliency

GOAL = 5.0
ROUNDS, FRAMES = 9, 12


def pysaliency_metrics():
    """pysaliency's `metrics.py` as a module."""
    found = importlib.util.find_spec("pysaliency")
    if found is None or not found.submodule_search_locations:
        sys.exit("pysaliency is not installed: `make bench` installs it (pip install --no-deps pysaliency)")
    path = Path(found.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("pysaliency_metrics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(FRAMES):
        points = np.stack([rng.uniform(0, 480, 60), rng.uniform(0, 640, 60)], axis=1)
        guess = saliency.gaze_map(points + rng.normal(0, 20, points.shape), (480, 640), 25.0)
        frames.append((guess, saliency.gaze_map(points, (480, 640), 19.0), points))
    peer = pysaliency_metrics()

    def theirs(prediction, truth, rows, columns):
        return (
            peer.MIT_KLDiv(prediction, truth),
            peer.CC(prediction, truth),
            peer.SIM(prediction, truth),
            peer.NSS(prediction, columns, rows).mean(),
        )

    whole = [np.floor(points).astype(int).T for _, _, points in frames]

    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours = [saliency.score(*frame) for frame in frames]
        middle = time.perf_counter()
        expected = [theirs(p, q, *where) for (p, q, _), where in zip(frames, whole, strict=True)]
        ours_s.append((middle - start) / FRAMES)
        theirs_s.append((time.perf_counter() - middle) / FRAMES)
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(
            [mine.kld, mine.cc, mine.sim, mine.nss], other, rtol=1e-5, atol=1e-7
        )  # NSS: they divide by n

    fast, slow = statistics.median(ours_s), statistics.median(theirs_s)
    print(f"saliency: {1 / fast:.0f} frames/s, pysaliency: {1 / slow:.0f} frames/s")
    print(f"RATIO saliency {slow / fast:.2f} goal >={GOAL:g}")
    return 0 if slow / fast >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
