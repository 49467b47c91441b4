"""Numbers worked out by hand (`order_transform`, property 5), by MATLAB code (real maps) and by scikit-learn."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from usssl.tasks import saliency

TRUTH = np.array([[0.1, 0.2, 0.1], [0.1, 0.4, 0.1]])
PREDICTION = np.array([[0.2, 0.2, 0.1], [0.1, 0.3, 0.1]])
FIXATIONS = [(0, 1), (1, 1)]


def fixation_map(points=FIXATIONS, shape=(2, 3)):
    fixated = np.zeros(shape, bool)
    fixated[tuple(np.transpose(points))] = True
    return fixated


def test_numbers_of_the_method_page():
    assert saliency.kld(PREDICTION, TRUTH) == pytest.approx(0.045758111, abs=1e-9)
    assert saliency.kld(PREDICTION, TRUTH, eps=0) == pytest.approx(0.045758111, abs=1e-9)
    assert saliency.sim(PREDICTION, TRUTH) == pytest.approx(0.9)
    assert saliency.cc(PREDICTION, TRUTH) == pytest.approx(0.876459820, abs=2e-9)  # the page rounds it down
    assert saliency.nss(PREDICTION, FIXATIONS) == pytest.approx(1.020620726, abs=1e-9)
    assert saliency.auc_judd(PREDICTION, FIXATIONS) == pytest.approx(0.9375)
    assert saliency.soft_argmax(PREDICTION, (224, 288)) == pytest.approx((134.4, 112.0))


def test_soft_argmax_finds_the_one_gaze_point_in_pixels_of_any_frame_whatever_the_maps_sum():
    seen = saliency.gaze_map([(12.25, 30.75)], (41, 61), 2.0)
    assert saliency.soft_argmax(7 * seen, (41, 61)) == pytest.approx((30.75, 12.25), abs=1e-3)
    assert saliency.soft_argmax(seen, (410, 122)) == pytest.approx((61.5, 122.5), abs=1e-2)


@pytest.fixture(scope="module")
def reference(test_data):
    folder = test_data / "saliency"
    if not folder.is_dir():
        pytest.skip(f"no reference saliency maps at {folder}")

    def read(kind, name):
        return cv2.imread(str(folder / kind / f"{name}.png"), cv2.IMREAD_GRAYSCALE) / 255.0

    with (folder / "reference_metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        (row, read("predictions", f"{row['key']}__{row['prediction']}"), read("density", row["key"]), read)
        for row in rows
    ]


def test_mit_benchmark_maps(reference):
    assert len(reference) >= 33
    for row, prediction, density, _ in reference:
        assert saliency.cc(prediction, density) == pytest.approx(float(row["CC"]), abs=1e-8)
        assert saliency.sim(prediction, density, rescale=True) == pytest.approx(float(row["SIM"]), abs=1e-8)
        assert saliency.kld(prediction, density) == pytest.approx(float(row["KL"]), abs=1e-8)


def test_mit_benchmark_fixations(reference):
    seen = 0
    for row, prediction, _, read in reference:
        if row["NSS"]:
            fixated = read("fixation_points", row["key"]) > 0
            assert saliency.nss(prediction, fixated) == pytest.approx(float(row["NSS"]), abs=1e-8)
            mit = saliency.auc_judd(prediction, fixated, merge_ties=False)
            assert mit == pytest.approx(float(row["AUC_Judd"]), abs=1e-8)
            exact = roc_auc_score(fixated.ravel(), prediction.ravel())
            assert abs(saliency.auc_judd(prediction, fixated) - exact) < 0.02
            seen += 1
    assert seen >= 21


def test_auc_judd_equals_scikit_learn_when_fixations_tie_with_nothing():
    rng = np.random.default_rng(1)
    prediction = rng.permutation(600).reshape(20, 30).astype(float)
    fixated = rng.random((20, 30)) < 0.05
    # every fixated pixel is a threshold, so only the corners between thresholds differ: by less than one step of tp
    assert saliency.auc_judd(prediction, fixated) == pytest.approx(
        roc_auc_score(fixated.ravel(), prediction.ravel()), abs=0.5 / fixated.sum()
    )


def test_auc_shuffled_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(2)
    prediction = rng.integers(0, 9, (12, 16)).astype(float)
    mine, others = rng.integers(0, 12, (15, 2)), rng.integers(0, 12, (40, 2))
    values = np.concatenate([prediction[tuple(mine.T)], prediction[tuple(others.T)]])
    expected = roc_auc_score([1] * 15 + [0] * 40, values)
    assert saliency.auc_shuffled(prediction, mine, others) == pytest.approx(expected)


def test_auc_shuffled_gives_a_centre_map_no_credit():
    rng = np.random.default_rng(3)
    centre = saliency.gaze_map([(30, 40)], (60, 80), 15)
    around_centre = np.clip(rng.normal((30, 40), 10, (4000, 2)), 0, (59, 79))
    assert saliency.auc_judd(centre, around_centre) > 0.75
    assert saliency.auc_shuffled(centre, around_centre[:2000], around_centre[2000:]) == pytest.approx(0.5, abs=0.03)


@settings(deadline=None)  # a busy machine is slow now and then
@given(st.integers(0, 2**32 - 1), st.integers(2, 300), st.integers(3, 200))
def test_score_equals_the_single_metrics(seed, height, width):
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((height, width)), rng.random((height, width)) ** 8
    points = np.stack([rng.integers(0, height, 5), rng.integers(0, width, 5)], axis=1)
    scores = saliency.score(prediction, truth, points)
    assert scores.kld == pytest.approx(saliency.kld(prediction, truth))
    assert scores.cc == pytest.approx(saliency.cc(prediction, truth), abs=1e-12)
    assert scores.cc == pytest.approx(np.corrcoef(prediction.ravel(), truth.ravel())[0, 1], abs=1e-9)
    assert scores.sim == pytest.approx(saliency.sim(prediction, truth))
    assert scores.nss == pytest.approx(saliency.nss(prediction, points))


def test_scale_of_a_map_does_not_matter():
    rng = np.random.default_rng(4)
    prediction, truth = rng.random((9, 7)), rng.random((9, 7))
    for metric in (saliency.kld, saliency.sim, saliency.cc):
        assert metric(prediction * 1e-9, truth * 1e6) == pytest.approx(metric(prediction, truth))
    assert saliency.nss(prediction * 1e-9, [(2, 3)]) == pytest.approx(saliency.nss(prediction, [(2, 3)]))


def test_a_perfect_and_a_constant_prediction():
    constant = np.full((2, 3), 1 / 6)
    assert saliency.kld(TRUTH, TRUTH) == pytest.approx(0, abs=1e-12)
    assert saliency.sim(TRUTH, TRUTH) == saliency.cc(TRUTH, TRUTH) == pytest.approx(1)
    assert saliency.cc(constant, TRUTH) == saliency.nss(constant, FIXATIONS) == 0
    assert saliency.auc_judd(constant, FIXATIONS) == saliency.auc_shuffled(constant, FIXATIONS, [(0, 0)]) == 0.5


def test_missed_mass_is_infinite_only_without_regularisation():
    missing = np.where(TRUTH == 0.4, 0.0, PREDICTION)
    assert saliency.kld(missing, TRUTH, eps=0) == np.inf
    assert 10 < saliency.kld(missing, TRUTH) < 20
    assert saliency.kld(TRUTH, np.where(TRUTH == 0.4, 0.0, TRUTH), eps=0) == pytest.approx(np.log(1 / 0.6))


def test_fixations_as_points_and_as_a_map_agree():
    assert saliency.nss(PREDICTION, fixation_map()) == saliency.nss(PREDICTION, FIXATIONS)
    assert saliency.nss(PREDICTION, np.array(FIXATIONS) + 0.5) == saliency.nss(PREDICTION, FIXATIONS)
    assert saliency.auc_judd(PREDICTION, [*FIXATIONS, (1, 1)]) == saliency.auc_judd(PREDICTION, fixation_map())
    assert saliency.nss(PREDICTION, [*FIXATIONS, (1, 1)]) > saliency.nss(PREDICTION, FIXATIONS)
    two_wide = np.array([[0.1, 0.9], [0.3, 0.2], [0.5, 0.4]])
    assert saliency.nss(two_wide, [[0, 1], [1, 1], [1, 0]]) == saliency.nss(
        two_wide, fixation_map([(0, 1), (1, 1), (1, 0)], (3, 2))
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_other_number_types(dtype):
    prediction, truth = (PREDICTION * 100).astype(dtype), (TRUTH * 100).astype(dtype)
    scores = saliency.score(prediction, truth, FIXATIONS)
    assert scores.kld == pytest.approx(0.045758111, abs=2e-3)
    assert scores.nss == pytest.approx(1.020620726, abs=2e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: saliency.kld(np.where(TRUTH > 0.3, np.nan, TRUTH), TRUTH), "prediction holds NaN"),
        (lambda: saliency.cc(TRUTH, np.where(TRUTH > 0.3, np.inf, TRUTH)), "truth holds NaN"),
        (lambda: saliency.sim(TRUTH, TRUTH[:, :2]), "resize one to the other"),
        (lambda: saliency.cc(TRUTH[None], TRUTH), "frames one by one"),
        (lambda: saliency.kld(TRUTH - 0.2, TRUTH), "not logits"),
        (lambda: saliency.kld(TRUTH, TRUTH * 0), "truth sums to 0"),
        (lambda: saliency.nss(TRUTH, [(2, 0)]), "outside the 2 x 3 map"),
        (lambda: saliency.nss(TRUTH, np.zeros((2, 3), bool)), "no fixation"),
        (lambda: saliency.nss(TRUTH, [(0, np.nan)]), "lost gaze samples"),
        (lambda: saliency.auc_judd(TRUTH, np.zeros((4, 5), bool)), "fixation map"),
        (lambda: saliency.auc_judd(TRUTH, np.ones((2, 3), bool)), "not fixated"),
        (lambda: saliency.cc([["a", "b"]], [[1, 2]]), "cannot be read as numbers"),
        (lambda: saliency.gaze_map(np.empty((0, 2)), (4, 4), 1), "n at least 1"),
        (lambda: saliency.gaze_map([(0, 0)], (4, 4), 0), "sigma"),
        (lambda: saliency.gaze_map([(900, 900)], (4, 4), 1), "too far outside"),
        (lambda: saliency.soft_argmax(TRUTH - 0.2, (4, 4)), "not logits"),
        (lambda: saliency.soft_argmax(TRUTH, (0, 4)), "both positive"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_bfloat16_tensors_are_refused_with_the_remedy():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="float32 tensor"):
        saliency.kld(torch.tensor(PREDICTION, dtype=torch.bfloat16), TRUTH)
    assert saliency.kld(torch.tensor(PREDICTION), TRUTH) == pytest.approx(0.045758111, abs=1e-9)


def test_gaze_map_is_a_normalised_sum_of_gaussians():
    density = saliency.gaze_map([(20.5, 30.5)], (41, 61), 3.0)
    assert density.sum() == pytest.approx(1)
    assert np.unravel_index(density.argmax(), density.shape) == (20, 30)
    assert density[20, 33] / density[20, 30] == pytest.approx(np.exp(-0.5))  # one sigma away
    assert density[20, 30] == pytest.approx(1 / (2 * np.pi * 9), rel=1e-6)
    rows, columns = np.mgrid[:41, :61] + 0.5
    assert (density * rows).sum() == pytest.approx(20.5)
    assert (density * columns).sum() == pytest.approx(30.5)


def test_gaze_map_weighs_points_alike_and_equals_a_blur():
    points = np.array([(50.5, 60.5), (50.5, 60.5), (90.5, 30.5)])
    counts = np.zeros((128, 160))
    np.add.at(counts, tuple(np.floor(points).astype(int).T), 1.0)
    blurred = cv2.GaussianBlur(counts, (0, 0), 5.0)
    np.testing.assert_allclose(saliency.gaze_map(points, (128, 160), 5.0), blurred / blurred.sum(), atol=2e-5)


def test_metrics_need_no_torch(repository: Path):
    code = "import sys; sys.modules['torch'] = None; import usssl; print(usssl.tasks.saliency.kld([[1, 2]], [[1, 2]]))"
    run = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert float(run.stdout) == pytest.approx(0, abs=1e-12)
