"""Intervals about a mean: over seeds (Student's t), over pairs of runs, and over patients (bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A figure with its interval.

    Attributes:
        mean: the estimate.
        low: lower end; NaN where one value gives no interval.
        high: upper end.
        count: number of seeds, pairs or patients that it stands on.
        confidence: 0.95 for a 95 % interval.
    """

    mean: float
    low: float
    high: float
    count: int
    confidence: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0; False where there is no interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.3f} (one value, no interval)"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of independent runs with Student's t interval, `mean ± t(n - 1) s / sqrt(n)`, s with n - 1.

    Args:
        values: one value a seed `(n,)`.
        confidence: between 0 and 1.

    Raises:
        ValueError: nothing is given, a value is not finite, or the confidence is out of range.
    """
    from scipy.special import stdtrit

    array = _as_values(values, "values")
    _check_confidence(confidence)
    mean, count = float(array.mean()), len(array)
    if count == 1:
        return Interval(mean, float("nan"), float("nan"), 1, confidence)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2) * array.std(ddof=1) / np.sqrt(count))
    return Interval(mean, mean - half, mean + half, count, confidence)


def paired_interval(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of the differences `a - b` of paired runs (same seed, same labels) with Student's t interval.

    Args:
        a: one value a seed `(n,)`.
        b: the other arm's values in the same order of seeds.
        confidence: between 0 and 1.

    Raises:
        ValueError: as `mean_interval`, or the lengths differ.
    """
    first, second = _as_values(a, "a"), _as_values(b, "b")
    if len(first) != len(second):
        raise ValueError(f"a has {len(first)} runs and b has {len(second)}: pairs need the same seeds in both arms")
    return mean_interval(first - second, confidence)


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    patients: Sequence[object] | NDArray[np.generic],
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic, resampling whole patients (Efron 1979; cluster bootstrap).

    Frames of one patient are alike, so resampling frames would give intervals that are far too narrow.

    Args:
        statistic: maps row numbers `(n,)`, in which a drawn patient's rows stand as often as it was drawn, to a
            figure. A draw on which it is NaN (such as one without a class) is left out.
        patients: the patient of each row.
        resamples: number of draws.
        confidence: between 0 and 1.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        ValueError: there are no rows, the confidence is out of range, or the statistic is NaN on all rows or every
            draw.
    """
    _check_confidence(confidence)
    _, group = np.unique(np.asarray([str(patient) for patient in patients]), return_inverse=True)
    if not len(group):
        raise ValueError("a bootstrap needs at least one row, and patients is empty")
    rows = [np.flatnonzero(group == one) for one in range(group.max() + 1)]
    estimate = float(statistic(np.arange(len(group))))
    if np.isnan(estimate):
        raise ValueError("the statistic is NaN on all rows: it has no interval")
    if len(rows) == 1:
        return Interval(estimate, float("nan"), float("nan"), 1, confidence)
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(rows), size=(resamples, len(rows)))
    values = np.array([statistic(np.concatenate([rows[one] for one in draw])) for draw in draws], dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError(f"the statistic is NaN on each of {resamples} draws of patients: it has no interval")
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(estimate, float(low), float(high), len(rows), confidence)


def _as_values(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a list of finite numbers, one a run, not {array!r}")
    return array


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, not {confidence}")
