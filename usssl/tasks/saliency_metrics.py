"""Saliency metrics: pure NumPy functions of one frame, in float64; see `saliency_gaze` for the map of recorded gaze.

Two kinds of truth exist. `kld`, `cc` and `sim` compare with a density map of the prediction's shape; `nss`,
`auc_judd` and `auc_shuffled` with fixations: either a boolean map of that shape, or an array `(n, 2)` of row and
column in pixels, where pixel `(i, j)` covers `[i, i + 1) x [j, j + 1)`. A map may be of any scale: each metric
normalises as its docstring says. Where published definitions differ, the default follows `order_transform` (Droste et
al. 2019 and its metric code) and an argument gives the MIT saliency benchmark's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from usssl.tasks.saliency_checks import Map, as_map, check_densities, fixations_of, pair

MIT_EPS = float(np.finfo(np.float64).eps)
"""Regularisation of the MIT saliency benchmark's KLdiv.m: MATLAB's `eps`, 2.22e-16."""

_BLOCK = 8192  # pixels at a time: what a formula writes in between stays in cache, and BLAS starts no threads


@dataclass(frozen=True)
class SaliencyScores:
    """The scores of one frame.

    Attributes:
        kld: divergence of the prediction from the true map, in nats (0 is best).
        cc: linear correlation of the maps, -1 to 1.
        sim: shared mass of the maps, 0 to 1.
        nss: standardised prediction at the fixations, in standard deviations (0 is chance).
    """

    kld: float
    cc: float
    sim: float
    nss: float


@np.errstate(divide="ignore", invalid="ignore")  # eps=0 gives infinity, as it should
def kld(prediction: ArrayLike, truth: ArrayLike, eps: float = MIT_EPS) -> float:
    """Kullback-Leibler divergence KL(truth || prediction), in nats; 0 is best.

    Both maps are divided by their sum; the result is `sum(q * log(eps + q / (p + eps)))` with q the truth. The
    default is the MIT benchmark's; `eps=0` is the plain `sum(q * (log q - log p))`, infinite where the prediction
    misses true mass. pysaliency's other default adds 1e-20 to the maps instead.

    Args:
        prediction: predicted map `(h, w)`, not negative.
        truth: true map of the same shape, not negative.
        eps: regularisation.

    Raises:
        ValueError: a map is not `(h, w)`, not finite, negative or empty of mass, or the shapes differ.
    """
    p, q, sum_p, sum_q = pair(prediction, truth)
    check_densities(p, q, sum_p, sum_q)
    return sum(_kld_sum(a * (sum_q / sum_p), b, eps * sum_q, eps) for a, b in _blocks(p, q)) / sum_q


def cc(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Pearson's linear correlation coefficient of two maps, -1 to 1; 0 if either map is constant.

    Args:
        prediction: predicted map `(h, w)`.
        truth: true map of the same shape.

    Raises:
        ValueError: a map is not `(h, w)` or not finite, or the shapes differ.
    """
    p, q, sum_p, sum_q = pair(prediction, truth)
    mean_p, mean_q = sum_p / p.size, sum_q / q.size
    energy_p, energy_q, product = np.sum([_moments(a - mean_p, b - mean_q) for a, b in _blocks(p, q)], axis=0)
    return _correlation(energy_p, energy_q, product, mean_p, mean_q, p.size)


def sim(prediction: ArrayLike, truth: ArrayLike, rescale: bool = False) -> float:
    """Similarity (histogram intersection) `sum(min(p, q))` of maps divided by their sum, 0 to 1.

    Args:
        prediction: predicted map `(h, w)`, not negative unless rescaled.
        truth: true map of the same shape, not negative unless rescaled.
        rescale: first stretch each map to 0..1 by its minimum and maximum, as the MIT benchmark's similarity.m does.

    Raises:
        ValueError: a map is not `(h, w)`, not finite, negative or empty of mass, or the shapes differ.
    """
    p, q, sum_p, sum_q = pair(prediction, truth)
    if rescale:
        p, q = p - p.min(), q - q.min()
        sum_p, sum_q = float(p.sum()), float(q.sum())
    check_densities(p, q, sum_p, sum_q)
    return sum(_shared_sum(a * (sum_q / sum_p), b) for a, b in _blocks(p, q)) / sum_q


def nss(prediction: ArrayLike, truth: ArrayLike, ddof: int = 1) -> float:
    """Normalised scanpath saliency: mean of the standardised prediction at the fixations.

    0 is chance, and what a constant map scores. A pixel that is listed twice in an array of fixations counts twice; a
    boolean map holds it once.

    Args:
        prediction: predicted map `(h, w)`.
        truth: fixations, a map `(h, w)` that is true where fixated or an array `(n, 2)` of row and column.
        ddof: 1 for the sample standard deviation (n - 1, the MIT benchmark), 0 for the population's (pysaliency).

    Raises:
        ValueError: the map is not `(h, w)` or not finite, or there is no fixation, or one lies outside the map.
    """
    p, total = as_map(prediction, "prediction")
    rows, columns = fixations_of(truth, p.shape, "truth")
    mean = total / p.size
    energy = sum(float(np.vdot(a - mean, a - mean)) for a, _ in _blocks(p, p))
    return _nss(p[rows, columns], mean, energy, p.size, ddof)


def auc_judd(prediction: ArrayLike, truth: ArrayLike, merge_ties: bool = True) -> float:
    """Area under the ROC curve of fixated against all other pixels (Judd et al. 2009), 0 to 1; 0.5 is chance.

    Thresholds are the prediction's values at the fixated pixels; at each, tp is the share of fixated pixels and fp
    the share of other pixels at or above it; ends (0, 0) and (1, 1), trapezoid rule. No jitter. A pixel that was
    fixated twice counts once.

    Args:
        prediction: predicted map `(h, w)`.
        truth: fixations, a map `(h, w)` that is true where fixated or an array `(n, 2)` of row and column.
        merge_ties: fixated pixels of one value make one threshold, so that a constant map scores 0.5. False steps
            through them one by one, as AUC_Judd.m without jitter does: smaller for maps with few levels, near 0 for a
            constant one.

    Raises:
        ValueError: the map is not `(h, w)` or not finite, or there is no fixation, one lies outside, or all pixels
            are fixated.
    """
    p, _ = as_map(prediction, "prediction")
    rows, columns = fixations_of(truth, p.shape, "truth")
    fixated = np.unique(np.ravel_multi_index((rows, columns), p.shape))
    count = len(fixated)
    if count == p.size:
        raise ValueError(
            "AUC-Judd needs pixels that are not fixated, and truth holds every pixel of the map: give fewer fixations"
        )
    ordered = np.sort(p, axis=None)
    thresholds = np.sort(p.ravel()[fixated])[::-1]
    above = p.size - np.searchsorted(ordered, thresholds, side="left")
    hits = np.arange(1, count + 1)
    if merge_ties:
        last = np.append(thresholds[1:] != thresholds[:-1], True)
        above, hits = above[last], hits[last]
    tp = np.concatenate(([0.0], hits / count, [1.0]))
    fp = np.concatenate(([0.0], (above - hits) / (p.size - count), [1.0]))
    return float(np.trapezoid(tp, fp))


def auc_shuffled(prediction: ArrayLike, truth: ArrayLike, others: ArrayLike) -> float:
    """Area under the ROC curve of this frame's fixations against other frames' fixations, 0 to 1; 0.5 is chance.

    A prediction that only knows that people look at the centre scores 0.5. The published code draws 100 random
    subsets of the other fixations and steps its thresholds by 0.1; this is the exact mean over all subsets at all
    thresholds, so it needs no
    seed: the probability that a fixation has a higher value than another frame's, ties counting half.

    Args:
        prediction: predicted map `(h, w)`.
        truth: fixations, a map `(h, w)` that is true where fixated or an array `(n, 2)` of row and column.
        others: fixations on other frames, in either form, in pixels of this map.

    Raises:
        ValueError: the map is not `(h, w)` or not finite, or fixations are missing or outside the map.
    """
    p, _ = as_map(prediction, "prediction")
    positives = p[fixations_of(truth, p.shape, "truth")]
    negatives = np.sort(p[fixations_of(others, p.shape, "others")])
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    return float((below + not_above).mean() / (2 * len(negatives)))


def score(prediction: ArrayLike, truth: ArrayLike, fixations: ArrayLike) -> SaliencyScores:
    """`kld`, `cc`, `sim` and `nss` of one frame with their defaults, several times faster than one after the other.

    Args:
        prediction: predicted map `(h, w)`, not negative.
        truth: true map of the same shape, not negative.
        fixations: a map `(h, w)` that is true where fixated or an array `(n, 2)` of row and column.

    Raises:
        ValueError: as the single metrics.
    """
    p, q, sum_p, sum_q = pair(prediction, truth)
    check_densities(p, q, sum_p, sum_q)
    rows, columns = fixations_of(fixations, p.shape, "fixations")
    mean_p, mean_q = sum_p / p.size, sum_q / q.size
    divergence = shared = energy_p = energy_q = product = 0.0
    for a, b in _blocks(p, q):
        scaled = a * (sum_q / sum_p)
        divergence += _kld_sum(scaled, b, MIT_EPS * sum_q, MIT_EPS)
        shared += _shared_sum(scaled, b)
        more_p, more_q, more = _moments(a - mean_p, b - mean_q)
        energy_p, energy_q, product = energy_p + more_p, energy_q + more_q, product + more
    return SaliencyScores(
        kld=divergence / sum_q,
        cc=_correlation(energy_p, energy_q, product, mean_p, mean_q, p.size),
        sim=shared / sum_q,
        nss=_nss(p[rows, columns], mean_p, energy_p, p.size, ddof=1),
    )


def _blocks(p: Map, q: Map) -> Iterator[tuple[Map, Map]]:
    p, q = p.ravel(), q.ravel()
    for start in range(0, p.size, _BLOCK):
        yield p[start : start + _BLOCK], q[start : start + _BLOCK]


def _kld_sum(p: Map, q: Map, eps_p: float, eps: float) -> float:
    """Sum of `q * log(eps + q / (p + eps_p))`, where p is scaled to the sum of q."""
    ratio = p + eps_p
    np.divide(q, ratio, out=ratio)
    ratio += eps
    np.log(ratio, out=ratio)
    if eps == 0:
        ratio[q == 0] = 0.0  # the limit of q log q
    return float(np.vdot(q, ratio))


def _shared_sum(p: Map, q: Map) -> float:
    return float(np.minimum(p, q).sum())


def _moments(centred_p: Map, centred_q: Map) -> tuple[float, float, float]:
    """Sums of the squares of each and of the product."""
    p, q = centred_p, centred_q
    return float(np.vdot(p, p)), float(np.vdot(q, q)), float(np.vdot(p, q))


def _correlation(energy_p: float, energy_q: float, product: float, mean_p: float, mean_q: float, size: int) -> float:
    if _is_constant(energy_p, mean_p, size) or _is_constant(energy_q, mean_q, size):
        return 0.0
    return float(np.clip(product / np.sqrt(energy_p) / np.sqrt(energy_q), -1.0, 1.0))


def _nss(values: Map, mean: float, energy: float, size: int, ddof: int) -> float:
    if _is_constant(energy, mean, size):
        return 0.0
    return float((values - mean).mean() / np.sqrt(energy / (size - ddof)))


def _is_constant(energy: float, mean: float, size: int) -> bool:
    """Whether a sum of squares about the mean is no more than the rounding of the mean leaves of a constant map."""
    return bool(energy <= size * (32 * MIT_EPS * mean) ** 2)
