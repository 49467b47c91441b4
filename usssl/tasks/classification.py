"""Classification metrics: pure functions of a confusion matrix or of probabilities.

A class that the truth never holds has no recall, so means over classes ("macro") go over the classes that are present
in the truth; scikit-learn's macro scores also count classes that were only predicted. A precision of a class that is
never predicted is 0 (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ClassScores:
    """Scores by class and their means.

    Attributes:
        precision: `(classes,)`, 0 to 1; 0 where the class is never predicted.
        recall: `(classes,)`, 0 to 1; NaN where the truth lacks the class.
        f1: `(classes,)`, 0 to 1; NaN where the truth lacks the class.
        support: `(classes,)`, number of true items.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]

    @property
    def macro_precision(self) -> float:
        """Mean precision over the classes that the truth holds."""
        return float(self.precision[self.support > 0].mean())

    @property
    def macro_recall(self) -> float:
        """Mean recall over the classes that the truth holds: the balanced accuracy."""
        return float(self.recall[self.support > 0].mean())

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of each class that the truth holds (not the F1 of the mean precision and recall)."""
        return float(self.f1[self.support > 0].mean())


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts of (true, predicted) pairs.

    Args:
        truth: true classes `(n,)`, 0 to `classes - 1`.
        predicted: predicted classes `(n,)`.
        classes: number of classes.

    Returns:
        `(classes, classes)`: rows are the truth, columns the prediction.

    Raises:
        ValueError: the lengths differ, nothing is given, or a class is not an integer in range.
    """
    true, guess = _as_classes(truth, classes, "truth"), _as_classes(predicted, classes, "predicted")
    if len(true) != len(guess):
        raise ValueError(f"truth has {len(true)} items and predicted has {len(guess)}: they must be the same items")
    return np.bincount(true * classes + guess, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def class_scores(confusion: ArrayLike) -> ClassScores:
    """Precision, recall and F1 by class.

    Args:
        confusion: counts `(classes, classes)`, rows the truth, such as `confusion_matrix` gives.

    Raises:
        ValueError: the matrix is not square, holds negative counts, or is empty.
    """
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"a confusion matrix is square and holds counts, not {counts.shape} with sum {counts.sum()}")
    hits, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    present = support > 0
    nan = np.full(len(counts), np.nan)
    return ClassScores(
        precision=np.divide(hits, predicted, out=np.zeros(len(counts)), where=predicted > 0),
        recall=np.divide(hits, support, out=nan.copy(), where=present),
        f1=np.divide(2 * hits, support + predicted, out=nan.copy(), where=present),
        support=support.astype(np.int64),
    )


def accuracy(confusion: ArrayLike) -> float:
    """Share of items on the diagonal, 0 to 1."""
    counts = np.asarray(confusion)
    return float(np.trace(counts) / counts.sum())


def balanced_accuracy(confusion: ArrayLike) -> float:
    """Mean recall over the classes that the truth holds, 0 to 1; one over their number is chance."""
    return class_scores(confusion).macro_recall


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the most probable class (Guo et al. 2017), 0 to 1; 0 is calibrated.

    The confidence is the largest probability of a row; bins are of equal width over (0, 1], closed on the right; the
    result is the mean over items of |accuracy - mean confidence| of the item's bin.

    Args:
        probabilities: `(n, classes)`, rows summing to 1.
        truth: true classes `(n,)`.
        bins: number of bins.

    Raises:
        ValueError: shapes do not fit, rows are not probabilities, or a class is out of range.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not np.isfinite(p).all() or (p < 0).any() or not np.allclose(p.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(
            f"probabilities must be (n, classes) with rows summing to 1, not {p.shape}: apply softmax first"
        )
    true = _as_classes(truth, p.shape[1], "truth")
    if len(true) != len(p):
        raise ValueError(f"probabilities has {len(p)} items and truth has {len(true)}: they must be the same items")
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == true
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(p))


def _as_classes(values: ArrayLike, classes: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must be a list of classes (n,) with n at least 1, not of shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must hold integer classes, not {array.dtype}: take the argmax of probabilities first")
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(f"{name} holds class {array.min()} to {array.max()}, but there are {classes}, counted from 0")
    return array.astype(np.int64)
