"""InfoNCE and NT-Xent against the numbers of the method pages, plain float64 loops, and lightly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.foreign import declare_torchvision_operators, is_installed
from usssl.methods.functional import info_nce, info_nce_logits, multi_positive_info_nce, nt_xent

F64 = torch.float64
BANK = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)


def rows(*values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=F64)


def plain_info_nce(query: Tensor, key: Tensor, temperature: float, negatives: list[list[Tensor]]) -> float:
    """The equation, term by term, on normalised float64 vectors."""
    losses = []
    for q, k, others in zip(query, key, negatives, strict=True):
        scores = [float(torch.dot(q, v) / q.norm() / v.norm()) / temperature for v in (k, *others)]
        losses.append(math.log(math.fsum(math.exp(s - scores[0]) for s in scores)))
    return math.fsum(losses) / len(losses)


def plain_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> float:
    """The mean over the 2N rows, term by term."""
    z, count = torch.cat([z1, z2]).double(), len(z1)
    z = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i in range(2 * count):
        scores = {j: float(z[i] @ z[j]) / temperature for j in range(2 * count) if j != i}
        own = scores[(i + count) % (2 * count)]
        losses.append(math.log(math.fsum(math.exp(s - own) for s in scores.values())))
    return math.fsum(losses) / len(losses)


# -- methods/cate, property 5 and 1 ------------------------------------------------------------------------------


def test_in_batch_info_nce_of_the_cate_page() -> None:
    q, k = rows((1, 0), (0, 1)), rows((0.8, 0.6), (-0.6, 0.8))
    torch.testing.assert_close(info_nce_logits(q, k, 0.1), rows((8, -6), (6, 8)))
    each = info_nce(q, k, 0.1, reduction="none")
    assert each.tolist() == pytest.approx([8.315e-7, 0.126928], rel=1e-4)
    assert info_nce(q, k, 0.1).item() == pytest.approx(0.063464, abs=1e-6)
    assert info_nce(k, q, 0.1).item() == pytest.approx(0.063464, abs=1e-6), "the column mean is the same"


@pytest.mark.parametrize(("count", "loss"), [(4, 1.386294), (64, math.log(64))])
def test_constant_features_give_the_log_of_the_number_of_keys(count: int, loss: float) -> None:
    constant = torch.ones(count, 8)
    assert info_nce(constant, constant, 0.1).item() == pytest.approx(loss, abs=1e-6)
    queue = torch.ones(3569, 8)
    assert info_nce(constant, constant, 0.1, queue).item() == pytest.approx(math.log(3570), abs=1e-5)


# -- methods/vtdl, properties 2 and 3 ----------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "loss"), [(0.5, 0.641612), (0.07, 0.055854), (1.0, 0.889272)])
def test_triplet_logits_of_the_vtdl_page(temperature: float, loss: float) -> None:
    q, k, n = rows((1, 0)), rows((0.8, 0.6)), rows((0.6, 0.8))
    assert info_nce(q, k, temperature, BANK, extra=n[:, None]).item() == pytest.approx(loss, abs=1e-6)


def test_logits_probabilities_and_gradients_of_the_vtdl_page() -> None:
    q, k, n = (rows(v).requires_grad_() for v in ((1.0, 0.0), (0.8, 0.6), (0.6, 0.8)))
    logits = info_nce_logits(q, k, 0.5, BANK, extra=n[:, None], normalise=False)
    torch.testing.assert_close(logits.detach(), rows((1.6, 0, -2, 1.2)))
    assert logits.softmax(dim=1)[0].tolist() == pytest.approx([0.526443, 0.106287, 0.014384, 0.352885], abs=1e-6)
    info_nce(q, k.detach(), 0.5, BANK, extra=n[:, None], normalise=False).backward()
    assert q.grad is not None
    assert n.grad is not None
    assert q.grad[0].tolist() == pytest.approx([-0.362997, 0.208923], abs=1e-6)
    assert n.grad[0].tolist() == pytest.approx([0.705771, 0], abs=1e-6)
    assert k.grad is None
    assert info_nce(q, k, 0.5, BANK).item() == pytest.approx(0.206380, abs=1e-6), "smaller without the hard negative"


@pytest.mark.parametrize(("size", "loss"), [(3569, 8.180601), (5000, 8.517593), (12500, 9.433644)])
def test_chance_level_of_a_queue_and_one_hard_negative(size: int, loss: float) -> None:
    one = torch.ones(2, 4)
    found = info_nce(one, one, 0.07, torch.ones(size, 4), extra=one[:, None])
    assert found.item() == pytest.approx(loss, abs=2e-6)


# -- methods/cep, properties 3 and 4 -----------------------------------------------------------------------------


def test_multi_positive_loss_of_the_cep_page() -> None:
    anchors = rows((1, 0), (0.6, 0.8), (0, 1))[None]
    queue = rows((-1, 0), (0, -1))
    found = multi_positive_info_nce(anchors, rows((0.8, 0.6)), 0.5, queue)
    assert found.item() == pytest.approx(3.929012235, abs=1e-9)


@pytest.mark.parametrize(("size", "loss"), [(2, 6.591673732), (16384, 32.408201550)])
def test_multi_positive_loss_of_equal_logits(size: int, loss: float) -> None:
    found = multi_positive_info_nce(torch.ones(2, 3, 4), torch.ones(2, 4), 0.07, torch.ones(size, 4))
    assert found.item() == pytest.approx(loss, rel=1e-6)


def test_multi_positive_loss_is_the_sum_written_out() -> None:
    torch.manual_seed(0)
    a, k, queue = torch.randn(5, 3, 8, dtype=F64), torch.randn(5, 8, dtype=F64), torch.randn(7, 8, dtype=F64)
    a, k, queue = (x / x.norm(dim=-1, keepdim=True) for x in (a, k, queue))
    total = 0.0
    for b in range(5):
        below = sum(math.exp(float(a[b, s] @ k[b]) / 0.2) for s in range(3))
        below += sum(math.exp(float(a[b, s] @ n) / 0.2) for s in range(3) for n in queue)
        total -= sum(math.log(math.exp(float(a[b, s] @ k[b]) / 0.2) / below) for s in range(3))
    assert multi_positive_info_nce(3 * a, 2 * k, 0.2, queue).item() == pytest.approx(total / 5, abs=1e-12)


# -- methods/cvrl, properties 2 to 4 -----------------------------------------------------------------------------


def test_nt_xent_of_the_cvrl_page() -> None:
    a, b = rows((1, 0), (0, 1)), rows((3, 4), (-4, 3))
    each = nt_xent(a, b, 0.1, reduction="none")
    assert each.tolist() == pytest.approx([0.002477, 2.127223, 2.127223, 0.002477], abs=1e-6)
    assert nt_xent(a, b, 0.1, reduction="sum").item() == pytest.approx(2.129700, abs=1e-6)
    assert nt_xent(a, b, 0.1).item() == pytest.approx(1.064850, abs=1e-6)
    assert nt_xent(a, b, 0.5, reduction="sum").item() == pytest.approx(1.336080, abs=1e-6)
    assert nt_xent(7.5 * a, 0.01 * b, 0.1).item() == pytest.approx(1.064850, abs=1e-6), "lengths do not matter"


def test_nt_xent_of_collapsed_and_of_perfect_embeddings() -> None:
    same = torch.ones(4, 8, dtype=F64)
    assert nt_xent(same, same, 0.1, reduction="sum").item() == pytest.approx(3.891820, abs=1e-6)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(7), abs=1e-9)
    perfect = torch.eye(2, dtype=F64)
    assert nt_xent(perfect, perfect, 0.1, reduction="sum").item() == pytest.approx(1.815915e-4, rel=1e-6)


def test_nt_xent_does_not_see_the_order_of_views_or_videos() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(6, 16, dtype=F64), torch.randn(6, 16, dtype=F64)
    order = torch.randperm(6)
    loss = nt_xent(a, b, 0.2)
    torch.testing.assert_close(nt_xent(b, a, 0.2), loss)
    torch.testing.assert_close(nt_xent(a[order], b[order], 0.2), loss)
    assert not torch.isclose(nt_xent(a[order], b, 0.2), loss), "one half alone shuffled destroys the pairs"


# -- independent implementations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_agree_with_the_equations_written_out(temperature: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    q, k, n = (torch.randn(6, 12, dtype=dtype) for _ in range(3))
    queue, own = torch.randn(20, 12, dtype=dtype), torch.randn(6, 3, 12, dtype=dtype)
    near = {"rel": 1e-10} if dtype == F64 else {"rel": 1e-4}
    in_batch = [[k[j] for j in range(6) if j != i] for i in range(6)]
    queued = [[*queue, *own[i]] for i in range(6)]
    assert info_nce(q, k, temperature).item() == pytest.approx(plain_info_nce(q, k, temperature, in_batch), **near)
    found = info_nce(q, k, temperature, queue, extra=own).item()
    assert found == pytest.approx(plain_info_nce(q, k, temperature, queued), **near)
    assert nt_xent(q, n, temperature).item() == pytest.approx(plain_nt_xent(q, n, temperature), **near)


def test_negatives_that_are_not_allowed_do_not_count() -> None:
    torch.manual_seed(2)
    q, k, queue = torch.randn(4, 8, dtype=F64), torch.randn(4, 8, dtype=F64), torch.randn(5, 8, dtype=F64)
    allowed = torch.rand(4, 5) > 0.4
    kept = [[queue[j] for j in range(5) if allowed[i, j]] for i in range(4)]
    found = info_nce(q, k, 0.2, queue, allowed=allowed)
    assert found.item() == pytest.approx(plain_info_nce(q, k, 0.2, kept), rel=1e-10)
    square = torch.rand(4, 4) > 0.5
    kept = [[k[j] for j in range(4) if j != i and square[i, j]] for i in range(4)]
    assert info_nce(q, k, 0.2, allowed=square).item() == pytest.approx(plain_info_nce(q, k, 0.2, kept), rel=1e-10)
    nothing = torch.zeros(4, 5, dtype=torch.bool)
    found = multi_positive_info_nce(q[:, None], k, 0.2, queue, allowed=nothing)
    assert found.item() == pytest.approx(0, abs=1e-12), "one positive and no negative is certain"


@pytest.mark.parametrize("loss", ["nt_xent", "info_nce", "multi"])
def test_losses_in_bf16_are_those_of_the_same_numbers_in_float32(loss: str) -> None:
    torch.manual_seed(3)
    z1, z2, queue = (torch.randn(n, 128).bfloat16() for n in (32, 32, 512))
    calls = {
        "nt_xent": lambda a, b, c: nt_xent(a, b, 0.07),
        "info_nce": lambda a, b, c: info_nce(a, b, 0.07, c),
        "multi": lambda a, b, c: multi_positive_info_nce(a.unflatten(0, (16, 2)), b[:16], 0.07, c),
    }
    expected = calls[loss](z1.float(), z2.float(), queue.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = calls[loss](z1, z2, queue)
        mixed = calls[loss](z1.float(), z2.float(), queue.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mixed, expected)


def test_extreme_similarities_stay_finite() -> None:
    z = torch.eye(64, 128).bfloat16().requires_grad_()
    loss = nt_xent(z, z.detach(), 1e-3)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("call", [lambda q: info_nce(q, q, 0.0), lambda q: nt_xent(q, q, -1.0)])
def test_a_temperature_must_be_positive(call) -> None:
    with pytest.raises(ValueError, match="temperature is above 0"):
        call(torch.eye(3))


@pytest.fixture(scope="module")
def lightly_loss():
    """lightly's losses, where they are installed; its torchvision needs two operators declared on a CPU build."""
    if not (is_installed("lightly") and is_installed("torchvision")):
        pytest.skip("lightly is not installed (extra: bench)")
    declare_torchvision_operators()
    import lightly.loss

    return lightly.loss


@pytest.mark.parametrize("batch", [2, 33])
def test_nt_xent_and_its_gradient_are_lightly_s(lightly_loss, batch: int) -> None:
    torch.manual_seed(4)
    z = torch.randn(2, batch, 32)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    found = nt_xent(ours[0], ours[1], 0.3)
    expected = lightly_loss.NTXentLoss(temperature=0.3)(theirs[0], theirs[1])
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def test_info_nce_with_a_queue_is_lightly_s(lightly_loss) -> None:
    torch.manual_seed(5)
    q, k = torch.randn(8, 16), torch.randn(8, 16)
    theirs = lightly_loss.NTXentLoss(temperature=0.2, memory_bank_size=(32, 16))
    for part in torch.randn(32, 16).split(8):
        theirs(part.requires_grad_(), part.detach())
    queue = theirs.memory_bank.bank.clone()
    expected = theirs(q.clone().requires_grad_(), k)
    torch.testing.assert_close(info_nce(q, k, 0.2, queue), expected.detach())
