"""CEP's distance, prediction and cycle terms against the numbers of methods/cep."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from usssl.methods.functional import (
    cosine_distance,
    cycle_terms,
    multi_positive_info_nce,
    negative_cosine,
    prediction_terms,
)

F64 = torch.float64


def vector(*values: float) -> Tensor:
    return torch.tensor([values], dtype=F64)


def turn(degrees: float):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.tensor([[c, -s], [s, c]], dtype=F64)
    return lambda x: x @ matrix.T


def at(degrees: float) -> Tensor:
    return vector(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


LATENTS = (at(0), at(30), at(60))


@pytest.mark.parametrize(
    ("u", "v", "distance"),
    [((1, 0), (0.6, 0.8), 0.8), ((3, 0), (0.6, 0.8), 0.8), ((1, 0), (0, 2), 2.0), ((1, 0), (-5, 0), 4.0)],
)
def test_cosine_distance(u, v, distance: float) -> None:
    assert cosine_distance(vector(*u), vector(*v)).item() == pytest.approx(distance, abs=1e-9)
    assert negative_cosine(vector(*u), vector(*v)).item() == pytest.approx(distance / 2 - 1, abs=1e-9)


def test_negative_cosine_is_the_mean_over_the_batch_whatever_the_lengths() -> None:
    torch.manual_seed(0)
    p, z = torch.randn(5, 7, dtype=F64), torch.randn(5, 7, dtype=F64)
    each = [float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)) for a, b in zip(p, z, strict=True)]
    assert negative_cosine(p, z).item() == pytest.approx(-sum(each) / 5, abs=1e-12)
    assert negative_cosine(4 * p, 0.1 * z).item() == pytest.approx(-sum(each) / 5, abs=1e-12)
    assert cosine_distance(p, z).item() == pytest.approx(2 - 2 * sum(each) / 5, abs=1e-12)


@pytest.mark.parametrize(
    ("ahead", "back", "terms", "prediction", "cycle"),
    [
        (30, -30, (0.0,) * 6, 0.0, 0.0),
        (0, 0, (0.267949, 1, 0.267949, 0.267949, 0.267949, 1), 0.511966128, 0.0),
        (20, -20, (0.030384, 0.120615, 0.030384, 0.030384, 0.030384, 0.120615), 0.0604612, 0.0),
        (30, -10, None, 0.118190105, 0.236380210),
    ],
)
def test_the_toy_latents_of_the_cep_page(ahead, back, terms, prediction: float, cycle: float) -> None:
    mu, nu = turn(ahead), turn(back)
    found = prediction_terms(LATENTS, LATENTS, mu, nu)
    if terms is not None:
        assert found.tolist() == pytest.approx(terms, abs=1e-6)
    assert found.mean().item() == pytest.approx(prediction, abs=1e-7)
    assert cycle_terms(LATENTS, LATENTS, mu, nu).mean().item() == pytest.approx(cycle, abs=1e-8)


def test_all_terms_are_the_equations_of_the_cep_page_written_out() -> None:
    """Latents are not their targets here, predictors are not linear, and the batch holds several samples."""
    torch.manual_seed(0)
    c_p, c_c, c_f, t_p, t_c, t_f = latents_and_targets = torch.randn(6, 4, 5, dtype=F64)
    a, b = torch.randn(2, 5, 5, dtype=F64)

    def mu(x: Tensor) -> Tensor:
        return torch.tanh(x @ a)

    def nu(x: Tensor) -> Tensor:
        return torch.sin(x @ b) + x**2

    def d(u: Tensor, v: Tensor) -> float:
        pairs = zip(u, v, strict=True)
        return math.fsum(2 - 2 * float(torch.dot(x, y) / (x.norm() * y.norm())) for x, y in pairs) / len(u)

    prediction = [
        d(nu(c_c), t_p), d(nu(nu(c_f)), t_p), d(mu(c_p), t_c), d(nu(c_f), t_c), d(mu(c_c), t_f), d(mu(mu(c_p)), t_f)
    ]  # fmt: skip
    cycle = [
        d(nu(mu(c_p)), t_p), d(nu(nu(mu(mu(c_p)))), t_p), d(nu(mu(c_c)), t_c),
        d(mu(nu(c_c)), t_c), d(mu(nu(c_f)), t_f), d(mu(mu(nu(nu(c_f)))), t_f),
    ]  # fmt: skip
    latents, targets = latents_and_targets[:3].unbind(), latents_and_targets[3:].unbind()
    assert prediction_terms(latents, targets, mu, nu).tolist() == pytest.approx(prediction, abs=1e-12)
    assert cycle_terms(latents, targets, mu, nu).tolist() == pytest.approx(cycle, abs=1e-12)


def test_the_whole_loss_of_the_cep_page() -> None:
    mu, nu = turn(30), turn(-10)
    anchors = torch.tensor([[[1, 0], [0.6, 0.8], [0, 1]]], dtype=F64)
    queue = torch.tensor([[-1.0, 0.0], [0.0, -1.0]], dtype=F64)
    whole = (
        multi_positive_info_nce(anchors, vector(0.8, 0.6), 0.5, queue)
        + prediction_terms(LATENTS, LATENTS, mu, nu).mean()
        + 0.1 * cycle_terms(LATENTS, LATENTS, mu, nu).mean()
    )
    assert whole.item() == pytest.approx(4.070840360, abs=1e-9)


def test_time_reversal_leaves_prediction_and_cycle_unchanged() -> None:
    torch.manual_seed(0)
    latents, targets = torch.randn(2, 3, 4, 6, dtype=F64)
    a, b = torch.randn(2, 6, 6, dtype=F64)
    mu, nu = (lambda x: torch.tanh(x @ a)), (lambda x: torch.tanh(x @ b))
    for terms in (prediction_terms, cycle_terms):
        forward = terms(latents.unbind(), targets.unbind(), mu, nu).mean()
        backward = terms(latents.flip(0).unbind(), targets.flip(0).unbind(), nu, mu).mean()
        torch.testing.assert_close(forward, backward)


def test_which_terms_reach_which_predictor() -> None:
    torch.manual_seed(0)
    latents, targets = torch.randn(2, 3, 4, 6)
    prediction = [_alone(prediction_terms, number, latents, targets) for number in range(6)]
    assert prediction.count((True, False)) == 3
    assert prediction.count((False, True)) == 3
    assert [_alone(cycle_terms, number, latents, targets) for number in range(6)] == [(True, True)] * 6


def _alone(terms, number: int, latents: Tensor, targets: Tensor) -> tuple[bool, bool]:
    """Whether one term by itself gives mu, and nu, a gradient that is not zero."""
    mu, nu = torch.nn.Linear(6, 6), torch.nn.Linear(6, 6)
    terms(latents.unbind(), targets.unbind(), mu, nu)[number].backward()
    return tuple(bool(p.weight.grad is not None and p.weight.grad.abs().sum() > 0) for p in (mu, nu))
