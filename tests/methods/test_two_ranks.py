"""Two ranks with half of the batch each train as one with the whole batch: loss, gradients, momentum copies, queues.

Of order_transform each rank makes the views of its own samples; dropout, drawn otherwise on each rank, is off.
Batch normalisation is on: over all ranks (by our own module, as PyTorch's SyncBatchNorm does not run on a CPU) for
methods with negatives of the same batch and order_transform, in groups and mixed groups for those with a queue, of a
part of a rank's clips or of both ranks'.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.ranks import on_two_ranks
from tests.methods.tiny import build, fake_views, order_clips
from usssl.methods import Clips, Method
from usssl.methods.parts import gather
from usssl.methods.parts.gather import own

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cvrl": ("cvrl", {}),
    "vtdl": ("vtdl", {"bn_groups": 4, "margin_weight": 0.3}),
    "vtdl, one group": ("vtdl", {"bn_groups": 1}),
    "cep": ("cep", {"bn_groups": 4}),
    "cep, one group": ("cep", {"bn_groups": 1}),
    "cate": ("cate", {}),
    "cate with an MLP head": ("cate", {"head": "mlp"}),
    "cate with a queue": ("cate", {"negatives": "queue", "bn_groups": 4}),
    "cate with a queue, one group": ("cate", {"negatives": "queue", "bn_groups": 1}),
    "order_transform": ("order_transform", {}),
    "order_transform, sequential": ("order_transform", {"variant": "sequential"}),
}
STEPS, BATCH, LR = 3, 16, 0.05


def train(name: str, arguments: dict[str, Any]) -> dict[str, Tensor]:
    """A few steps of plain gradient descent, gradients averaged over ranks as DistributedDataParallel does."""
    method = build(name, **arguments).double()
    found: dict[str, Tensor] = {}
    for step in range(STEPS):
        views = own_views(method, name, step)
        loss = method(views)["loss"]
        method.zero_grad()
        loss.backward()
        found[f"loss {step}"] = gather(loss.detach()[None]).mean()
        for parameter_name, parameter in method.named_parameters():
            if parameter.grad is None:
                continue
            parameter.grad = gather(parameter.grad[None]).mean(dim=0)
            found[f"gradient {step} {parameter_name}"] = parameter.grad.clone()
            parameter.data -= LR * parameter.grad
        method.after_step((step + 1) / STEPS)
    found |= {f"queue {key}": value for key, value in method.state_dict().items() if key.startswith("queue")}
    found |= {f"target {key}": value.detach() for key, value in method.named_parameters() if key.startswith("target")}
    return found


def own_views(method: Method, name: str, step: int) -> dict[str, Tensor]:
    """This rank's part of the views of a step, in float64."""
    if name == "order_transform":
        clips = order_clips(BATCH, seed=step)
        parts = {fact.name: own(getattr(clips, fact.name)) for fact in fields(clips)}
        views = method.views(Clips(**parts), step)
    else:
        views = {key: own(value) for key, value in fake_views(name, BATCH, seed=step).items()}
    return {key: value.double() if value.is_floating_point() else value for key, value in views.items()}


def train_all() -> dict[str, dict[str, Tensor]]:
    return {case: train(*arguments) for case, arguments in CASES.items()}


@pytest.fixture(scope="module")
def both() -> list[dict[str, dict[str, Tensor]]]:
    return on_two_ranks(train_all)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_as_one(both, case: str) -> None:
    alone = train(*CASES[case])
    assert any("gradient" in name for name in alone)
    for found in both:
        assert found[case].keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(
                found[case][name], value, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize("case", ["cvrl", "vtdl"])
def test_the_comparison_would_notice_half_a_batch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(*CASES[case])
    monkeypatch.setitem(globals(), "own", lambda rows: rows[: len(rows) // 2])
    half = train(*CASES[case])
    assert not torch.isclose(whole["loss 0"], half["loss 0"], rtol=1e-6)
