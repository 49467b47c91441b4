"""Random numbers that depend on the sample alone, never on the worker, the rank or the batch around it."""

from __future__ import annotations

import numpy as np


def sample_rng(seed: int, epoch: int, sample: int, view: int = 0) -> np.random.Generator:
    """The generator of one sample in one epoch; the same arguments give the same draws everywhere.

    Args:
        seed: of the run.
        epoch: counted from 0.
        sample: an integer that identifies the sample in the whole data set, whoever loads it.
        view: counted from 0, for views that must draw independently.
    """
    return np.random.default_rng([seed, epoch, sample, view])
