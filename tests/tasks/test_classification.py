"""Classification metrics against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from usssl.tasks import classification


@settings(deadline=None)  # a busy machine is slow now and then
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(2, 8))
def test_scores_equal_scikit_learn(seed, items, classes):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, items)
    predicted = np.where(rng.random(items) < 0.6, truth, rng.integers(0, classes, items))
    confusion = classification.confusion_matrix(truth, predicted, classes)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, predicted, labels=range(classes)))

    present = np.unique(truth)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, predicted, labels=present, average="macro", zero_division=0
    )
    scores = classification.class_scores(confusion)
    assert scores.macro_precision == pytest.approx(precision)
    assert scores.macro_recall == pytest.approx(recall)
    assert scores.macro_f1 == pytest.approx(f1)
    assert classification.accuracy(confusion) == pytest.approx(metrics.accuracy_score(truth, predicted))
    by_class = metrics.f1_score(truth, predicted, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(scores.f1[present], by_class)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@settings(deadline=None)  # a busy machine is slow now and then
@given(st.integers(0, 2**32 - 1))
def test_balanced_accuracy_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 4, 30), rng.integers(0, 5, 30)
    confusion = classification.confusion_matrix(truth, predicted, 5)
    expected = metrics.balanced_accuracy_score(truth, predicted)
    assert classification.balanced_accuracy(confusion) == pytest.approx(expected)


def test_absent_and_never_predicted_classes():
    scores = classification.class_scores([[3, 1, 0], [2, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(scores.precision, [0.6, 0.0, 0.0])
    np.testing.assert_array_equal(scores.recall, [0.75, 0.0, np.nan])
    assert scores.macro_f1 == pytest.approx((2 * 3 / (4 + 5) + 0) / 2)


def test_calibration_error_by_hand():
    probabilities = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]
    # bin of 0.9: accuracy 0.5, gap 0.4, two items; bin of 0.6: accuracy 1, gap 0.4, two items
    assert classification.expected_calibration_error(probabilities, [0, 1, 0, 1], bins=10) == pytest.approx(0.4)
    # one bin: accuracy 0.75 against mean confidence 0.75
    assert classification.expected_calibration_error(probabilities, [0, 1, 0, 1], bins=1) == pytest.approx(0.0)


def test_calibrated_probabilities_have_a_small_error():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 20000)
    truth = (rng.random((20000, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=3)
    sharpened = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert classification.expected_calibration_error(p, truth) < 0.015
    assert classification.expected_calibration_error(sharpened, truth) > 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: classification.confusion_matrix([0, 1], [0], 2), "same items"),
        (lambda: classification.confusion_matrix([0, 2], [0, 1], 2), "counted from 0"),
        (lambda: classification.confusion_matrix([0, -1], [0, 1], 2), "counted from 0"),
        (lambda: classification.confusion_matrix([0.2], [0], 2), "argmax"),
        (lambda: classification.confusion_matrix([], [], 2), "at least 1"),
        (lambda: classification.class_scores([[0, 0], [0, 0]]), "sum 0"),
        (lambda: classification.expected_calibration_error([[2.0, -1.0]], [0]), "softmax"),
        (lambda: classification.expected_calibration_error([[np.nan, 1.0]], [0]), "softmax"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
