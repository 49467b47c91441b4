"""Methods under bf16 autocast: losses in full precision, near those of float32, with finite gradients."""

from __future__ import annotations

import pytest
import torch

from tests.methods.test_two_ranks import CASES
from tests.methods.tiny import build, fake_views


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
