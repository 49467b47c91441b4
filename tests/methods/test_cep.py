"""CEP as a whole: its heads, what each loss is made of and reaches, in which order a step happens, its ablations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.methods.tiny import CLIP, TinyEncoder, build, fake_views
from usssl import methods
from usssl.arguments import ClipArguments
from usssl.errors import RecipeError
from usssl.methods.cep import CEPArguments
from usssl.recipe import read_recipe

LOSSES = ("contrast_loss", "prediction_loss", "cycle_loss")


def test_heads_and_defaults_are_those_of_the_released_code() -> None:
    with torch.device("meta"):
        method = methods.build("cep", encoder=TinyEncoder(), clip=CLIP)
    of_mlp = {
        "appearance": ([12, 12, 2048], ()),
        "cycle": ([12, 12, 2048], (nn.LayerNorm,)),
        "mu": ([2048, 4096, 2048], (_BatchNorm,)),
        "nu": ([2048, 4096, 2048], (_BatchNorm,)),
    }
    for name, (widths, norm) in of_mlp.items():
        layers = list(getattr(method, name))
        kinds = (nn.Linear, *norm, nn.ReLU, nn.Linear)
        assert len(layers) == len(kinds), name
        assert all(isinstance(layer, kind) for layer, kind in zip(layers, kinds, strict=True)), name
        assert [layers[0].in_features, layers[0].out_features, layers[-1].out_features] == widths, name
    assert tuple(method.queue.keys.shape) == (16384, 2048)
    found = CEPArguments()
    assert (found.contrast_weight, found.prediction_weight, found.cycle_weight) == (1, 1, 0.1)
    assert (found.momentum, found.momentum_end, found.temperature) == (0.99, None, 0.07)


@pytest.mark.parametrize(("part", "reached"), [("encoder", LOSSES), ("appearance", LOSSES[:1]), ("cycle", LOSSES[1:])])
def test_keys_and_targets_are_of_the_momentum_copies(part: str, reached: tuple[str, ...]) -> None:
    method, views = build("cep"), fake_views("cep")
    before = method(views)
    for parameter in method.target[part].parameters():
        parameter += torch.randn_like(parameter)
    after = method(views)
    assert tuple(loss for loss in LOSSES if not torch.isclose(before[loss], after[loss])) == reached


def test_lengths_of_embeddings_and_keys_do_not_matter() -> None:
    method, views = build("cep").eval(), fake_views("cep")
    with torch.no_grad():
        before = method(views)
        for head in (method.appearance, method.cycle, method.target["appearance"], method.target["cycle"]):
            head[-1].weight *= 3
            head[-1].bias *= 3
        after = method(views)
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize(("masked", "negatives"), [(True, 12), (False, 24)])
def test_queue_rows_of_the_own_cine_are_no_negatives(masked: bool, negatives: int) -> None:
    """All similarities equal: the 6 clips of other cines than 0 have all rows, the 2 of cine 0 those of cine 9."""
    method, views = build("cep", temperature=1e4, mask_same_cine=masked), fake_views("cep")
    method.queue.enqueue(method.queue.keys.clone(), torch.tensor([0, 9]).repeat(12))
    expected = (6 * 3 * math.log(3 + 3 * 24) + 2 * 3 * math.log(3 + 3 * negatives)) / 8
    assert method(views)["contrast_loss"].item() == pytest.approx(expected, abs=1e-3)


def test_a_loss_without_parts_is_refused() -> None:
    keys = ("contrast_weight", "prediction_weight", "cycle_weight")
    recipe = {
        "data": {"source": "x"},
        "encoder": {"name": "r3d18"},
        "method": {"name": "cep", **dict.fromkeys(keys, 0)},
    }
    with pytest.raises(RecipeError, match=r"method\.contrast_weight, .*prediction_weight and .*cycle_weight are all 0"):
        read_recipe(recipe)
    for key in keys:
        CEPArguments(**{**dict.fromkeys(keys, 0), key: 0.1}).check(ClipArguments())


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
    torch.testing.assert_close(method.queue.keys.norm(dim=1), torch.ones(24))


@pytest.mark.parametrize("part", ["encoder", "appearance", "cycle"])
def test_copies_follow_a_hundredth_of_the_way_at_every_step(part: str) -> None:
    method = build("cep")
    online, copy = next(getattr(method, part).parameters()), next(method.target[part].parameters())
    expected = copy + 0.01
    with torch.no_grad():
        online += 1
    method.after_step(0.5)
    torch.testing.assert_close(copy, expected)


def test_static_cines_are_told_by_the_identity_loss() -> None:
    method, views = build("cep").eval(), fake_views("cep")
    views["snippets"] = views["snippets"][:, :1].expand(-1, 3, -1, -1, -1, -1)
    assert method(views)["identity_loss"].item() == pytest.approx(0, abs=1e-5)
