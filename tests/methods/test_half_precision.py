"""Methods under bf16 autocast: losses in full precision, near those of float32, with finite gradients."""

from __future__ import annotations

import pytest
import torch

from tests.methods.test_two_ranks import CASES
from tests.methods.tiny import build, fake_views
from usssl.engine.training import build_optimizer
from usssl.recipe import OptimizerArguments


@pytest.mark.parametrize("case", CASES)
def test_a_step_in_bf16(case: str) -> None:
    name, arguments = CASES[case]
    views = fake_views(name)
    expected = build(name, **arguments)(views)["loss"]
    method = build(name, **arguments)
    with torch.autocast("cpu", torch.bfloat16):
        found = method(views)
    assert found["loss"].dtype == torch.float32
    assert found["loss"].item() == pytest.approx(expected.item(), rel=0.05)
    found["loss"].backward()
    for parameter in method.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()
    method.after_step(0.5)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("case", CASES)
def test_thirty_steps_in_bf16_stay_finite(case: str, device: str) -> None:
    name, arguments = CASES[case]
    method = build(name, **arguments).to(device)
    optimizer = build_optimizer(OptimizerArguments(lr=0.05), method)
    for step in range(30):
        views = {key: value.to(device) for key, value in fake_views(name, seed=step % 3).items()}
        with torch.autocast(device, torch.bfloat16):
            losses = method(views)
        assert all(torch.isfinite(value) for key, value in losses.items() if key != "shift_s")
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        method.after_step((step + 1) / 30)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())
