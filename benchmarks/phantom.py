"""Frames a second that one core simulates at 320 × 240, over the 20 that are promised: median of five cines."""

from __future__ import annotations

import os
import statistics
import sys
import time

# One core, as the promise is made: BLAS libraries read this when numpy loads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2

from usssl.phantom import simulate_cine

GOAL = 20.0
FRAMES = 96
CINES = 5


def frames_per_second(patient: int) -> float:
    """Simulates a cine of a patient, sampling of the fetus, labels and gaze included.

    Counted is processor time, which sums over threads: so it is a core's time even on a busy machine.
    """
    started = time.process_time()
    cine = simulate_cine(0, patient, frames=FRAMES)
    _ = cine.saliency
    return FRAMES / (time.process_time() - started)


def main() -> int:
    """Prints the ratio; returns 1 where it falls short."""
    cv2.setNumThreads(1)
    frames_per_second(1)
    ratio = statistics.median(frames_per_second(patient) for patient in range(1, CINES + 1)) / GOAL
    print(f"RATIO phantom {ratio:.2f} goal >=1")
    return 0 if ratio >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
