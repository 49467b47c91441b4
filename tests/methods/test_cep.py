"""CEP as a whole: what each loss reaches, in which order a step happens, and its ablations."""

from __future__ import annotations

import pytest
import torch

from tests.methods.tiny import build, fake_views


def gradients(loss: str) -> dict[str, bool]:
    """Which parts of the method a loss by itself reaches."""
    method = build("cep")
    method(fake_views("cep"))[loss].backward()
    parts = ("encoder", "appearance", "cycle", "mu", "nu", "target")
    return {
        part: any(p.grad is not None and p.grad.abs().sum() > 0 for p in getattr(method, part).parameters())
        for part in parts
    }


def test_contrast_reaches_neither_predictors_nor_the_cycle_head() -> None:
    assert gradients("contrast_loss") == {
        "encoder": True, "appearance": True, "cycle": False, "mu": False, "nu": False, "target": False
    }  # fmt: skip


@pytest.mark.parametrize("loss", ["prediction_loss", "cycle_loss"])
def test_prediction_and_cycle_reach_both_predictors_and_not_appearance(loss: str) -> None:
    assert gradients(loss) == {
        "encoder": True, "appearance": False, "cycle": True, "mu": True, "nu": True, "target": False
    }  # fmt: skip


def test_no_gradient_reaches_the_key_clip_or_the_queue() -> None:
    method, views = build("cep"), fake_views("cep")
    views["key"].requires_grad_()
    views["snippets"].requires_grad_()
    method(views)["loss"].backward()
    assert views["key"].grad is None
    assert views["snippets"].grad.abs().sum() > 0
    assert method.queue.keys.grad is None


def test_the_loss_is_the_weighted_sum_and_parts_can_be_switched_off() -> None:
    views = fake_views("cep")
    found = build("cep")(views)
    parts = found["contrast_loss"] + found["prediction_loss"] + 0.1 * found["cycle_loss"]
    torch.testing.assert_close(found["loss"], parts)
    without = build("cep", cycle_weight=0)(views)
    torch.testing.assert_close(without["loss"], without["contrast_loss"] + without["prediction_loss"])


def test_predictors_are_two() -> None:
    method = build("cep")
    assert method.mu[0].weight.data_ptr() != method.nu[0].weight.data_ptr()
    assert not torch.equal(method.mu[0].weight, method.nu[0].weight)


def test_the_first_loss_is_near_chance() -> None:
    """All similarities equal: L_A = 3 ln(3 + 3 K) (methods/cep, property 4)."""
    method = build("cep", temperature=1e4)
    assert method(fake_views("cep"))["contrast_loss"].item() == pytest.approx(
        3 * torch.log(torch.tensor(3.0 + 3 * 24)).item(), abs=1e-3
    )


def test_a_step_uses_the_old_queue_and_moves_the_pointer_by_the_batch() -> None:
    method = build("cep")
    before = method.queue.keys.clone()
    for step in range(1, 5):
        method(fake_views("cep", seed=step))["loss"].backward()
        if step == 1:
            assert torch.equal(method.queue.keys, before)
        method.after_step(step / 4)
        assert method.queue.pointer == step * 8 % 24


def test_static_cines_are_told_by_the_identity_loss() -> None:
    method, views = build("cep").eval(), fake_views("cep")
    views["snippets"] = views["snippets"][:, :1].expand(-1, 3, -1, -1, -1, -1)
    assert method(views)["identity_loss"].item() == pytest.approx(0, abs=1e-5)
