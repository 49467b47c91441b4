"""The `augment:` block in a recipe: the pages' ablations are switches, and what is impossible is refused when read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from usssl.engine.pretraining import build_method
from usssl.errors import RecipeError
from usssl.methods.base import Method
from usssl.recipe import PretrainRecipe, dump_recipe, read_recipe

RESIZE = "{ops: [{name: resize, size: [64, 80]}]}"


def read(method: str, *overrides: str) -> PretrainRecipe:
    data = {"source": "samples:fetal", "clip": {"frames": 8, "step": 2, "size": [64, 80]}}
    encoder = {"name": "sononet16", "width": 0.25}
    recipe = read_recipe({"data": data, "encoder": encoder, "method": {"name": method}}, overrides)
    assert isinstance(recipe, PretrainRecipe)
    return recipe


def built(method: str, *overrides: str) -> Method:
    return build_method(read(method, *overrides))


def ops(method: str, *overrides: str) -> list[dict[str, Any]]:
    return [{op.name: op for op in view.ops} for view in built(method, *overrides).chosen_augmentations()]


@pytest.mark.parametrize("method", ["cep", "cate", "cvrl", "vtdl"])
def test_left_out_it_is_the_methods_own(method):
    one = built(method)
    assert one.chosen_augmentations() == one.augmentations()
    assert all(view.size_after((96, 120)) == (64, 80) for view in one.augmentations())


@pytest.mark.parametrize("method", ["cep", "cate", "cvrl", "vtdl"])
@pytest.mark.parametrize("block", ["augment", "method"])
def test_one_draw_a_clip_or_one_a_frame(method, block):
    assert all(view.consistent for view in built(method).chosen_augmentations())
    assert not any(view.consistent for view in built(method, f"{block}.consistent=false").chosen_augmentations())


def test_interval_laws_and_their_exponents():
    for law in ("decreasing", "uniform", "increasing"):
        for power in (0.5, 1.0, 2.0, 10.0):
            sampler = built("cvrl", f"method.law={law}", f"method.power={power}").sampler()
            assert (sampler.law, sampler.power, sampler.frames, sampler.stride) == (law, power, 8, 2)


def test_tca_on_or_off():
    for alpha in (0.1, 0.3):
        anchor, *others = ops("vtdl", f"augment.tca={alpha}")
        assert anchor["tca"].alpha == alpha
        assert not any("tca" in view for view in others)
    assert not any("tca" in view for view in ops("vtdl", "augment.tca=0"))


@pytest.mark.parametrize(
    "kinds", [[], ["time"], ["crop"], ["flip"], ["time", "crop"], ["time", "crop", "flip", "speed"]]
)
def test_each_encoding(kinds):
    assert list(built("cate", f"method.encodings.kinds={kinds}").arguments.encodings.kinds) == kinds
    assert built("cate", "method.encodings.shuffled=true").arguments.encodings.shuffled
    assert built("cate", "method.max_step=4").sampler().max_stride == 4, "speeds to tell"


@pytest.mark.parametrize("lossy", ["none", "L1", "L2", "L3", "L4", "L5", "N1", "N2", "N4"])
def test_lossy_operators_for_any_method_of_two_views(lossy):
    made = ops("cvrl", f"augment={{preset: av_augment, lossy: {lossy}}}")
    assert [set(view) - {"resized_crop", "colour_jitter"} for view in made] == [
        set() if lossy == "none" else {OPERATORS[lossy]}
    ] * 2


OPERATORS = {
    "L1": "temporal_blur",
    "L2": "spatio_temporal_blur",
    "L3": "temporal_cutout",
    "L4": "tube_cutout",
    "L5": "down_up",
    "N1": "shuffle",
    "N2": "reversal",
    "N4": "frame_drop",
}


def test_stronger_sets_crops_and_flips():
    assert ops("cep", "augment.plus=true")[0]["gaussian_blur"].p == 0.5
    assert ops("cvrl", "augment.area=[0.2, 0.4]")[1]["resized_crop"].area == (0.2, 0.4)
    assert ops("cvrl", "augment.flip=0.5")[0]["flip"].horizontal == 0.5
    assert ops("cvrl", "augment.ultrasound=false")[0]["colour_jitter"].hue == 0.2


def test_op_by_op():
    made = ops("cvrl", f"augment={{views: [{RESIZE}, {{ops: [{{name: resize, size: [64, 80]}}, {{name: gain}}]}}]}}")
    assert [list(view) for view in made] == [["resize"], ["resize", "gain"]]


def test_a_switch_is_told_to_the_method_and_survives_being_written():
    recipe = read("vtdl", "augment.tca=0.3", "augment.consistent=false")
    assert recipe.method.model_dump()["tca"] == 0.3
    assert "tca: 0.3" in dump_recipe(recipe).split("augment:")[1]
    again = read_recipe(yaml.safe_load(dump_recipe(recipe)))
    assert again == recipe
    resized = read_recipe(recipe, {"data.clip.size": [80, 96]})
    assert isinstance(resized, PretrainRecipe)
    assert build_method(resized).chosen_augmentations()[0].size_after((120, 144)) == (80, 96)


@pytest.mark.parametrize(
    ("method", "override", "said"),
    [
        ("cvrl", "augment.tca=0.1", r"augment\.tca: the preset cvrl has no such switch; it has ultrasound, area, flip"),
        ("cvrl", "augment.consitent=false", r"unknown key 'augment\.consitent'; did you mean 'augment\.consistent'"),
        ("cvrl", "augment.flip=.nan", r"augment\.flip: input should be a finite number"),
        ("cvrl", "augment.area=[0.9, 0.3]", r"augment\.area: the lower end 0\.9 lies above the upper end 0\.3"),
        ("cvrl", "augment.area=[0.5, 1.5]", r"augment\.area\.1: .* less than or equal to 1"),
        ("cvrl", "augment.area=[0, 1]", r"augment\.area\.0: .* greater than 0"),
        ("cvrl", "augment.preset=cvlr", r"augment\.preset: .*'cvrl'"),
        ("cvrl", "augment.preset=vtdl", r"augment\.preset: cvrl takes 2 views, and this makes 3"),
        ("cvrl", "augment.size=[32, 40]", r"augment\.size: makes views of 32 x 40 where 64 x 80 are needed"),
        ("cvrl", "augment=strong", r"augment: give a block of keys"),
        ("cvrl", f"augment={{views: [{RESIZE}]}}", r"augment\.views: cvrl takes 2 views, and this makes 1"),
        ("cvrl", f"augment={{views: [{RESIZE}, {{ops: []}}]}}", r"augment\.views\.1: makes views of 96 x 120"),
        (
            "cvrl",
            f"augment={{views: [{RESIZE}, {{ops: [{{name: crop, size: [200, 80]}}]}}]}}",
            r"augment\.views\.1\.ops\.0\.size: a crop of 200 x 80 does not fit into frames of 96 x 120",
        ),
        (
            "cvrl",
            f"augment={{views: [{RESIZE}, {{ops: [{{name: gama}}]}}]}}",
            r"augment\.views\.1\.ops\.0: there is no 'gama'; did you mean 'gamma'",
        ),
        (
            "cvrl",
            f"augment={{views: [{RESIZE}, {{ops: [{{name: gamma, gamma: [.nan, 2]}}]}}]}}",
            r"augment\.views\.1\.ops\.0\.gamma\.gamma\.0: input should be a finite number",
        ),
        (
            "cvrl",
            f"augment={{views: [{RESIZE}, {{mean: [0.5]}}]}}",
            r"augment\.views\.1\.mean: .* normalises by itself",
        ),
        ("vtdl", f"augment={{views: [{RESIZE}, {RESIZE}, {RESIZE}]}}", None),
        ("vtdl", "augment.tca=2", r"augment\.tca: .* less than or equal to 1"),
        ("order_transform", "augment.flip=0.5", r"augment: order_transform makes its views by keys of `method:` alone"),
        ("order_transform", "method.rotation=.nan", r"method\.rotation: "),
        ("order_transform", "method.crop=[0.9, 0.3]", r"method\.crop: the lower end 0\.9 lies above"),
        ("order_transform", "method.scale=[0.9, .inf]", r"method\.scale\.1: "),
        ("order_transform", "data.clip.frames=0", r"data\.clip\.frames: .* greater than 0"),
        ("order_transform", "data.clip.frames=1", r"data\.clip\.frames: order_transform puts 2 to 8 frames in order"),
        ("order_transform", "data.clip.frames=9", r"data\.clip\.frames: order_transform puts 2 to 8 frames in order"),
        ("cate", "method.max_step=1", r"method\.max_step: 1 should be at least data\.clip\.step, 2"),
        ("cvrl", "data.clip.frames=0", r"data\.clip\.frames: .* greater than 0"),
        ("cvrl", "data.clip.step=0", r"data\.clip\.step: .* greater than 0"),
        ("cvrl", "method.power=0", r"method\.power: .* greater than 0"),
        ("cvrl", "method.power=.inf", r"method\.power: .* finite"),
        ("cvrl", "method.law=rising", r"method\.law: "),
        ("cvrl", "method.step_s=-1", r"method\.step_s: .* greater than 0"),
        ("cate", "method.encodings.kinds=[colour]", r"method\.encodings\.kinds\.0: "),
        ("cate", "method.encodings.max_shift_s=0", r"method\.encodings\.max_shift_s: .* greater than 0"),
        ("cate", "method.max_shift_s=.nan", r"method\.max_shift_s: "),
        ("vtdl", "method.min_distance=0", r"method\.min_distance: .* greater than 0"),
    ],
)
def test_what_is_impossible_is_refused_when_the_recipe_is_read(method, override, said):
    if said is None:
        assert len(read(method, override).augment.build()) == 3
        return
    with pytest.raises(RecipeError, match=said) as refused:
        read(method, override)
    assert "\n" not in str(refused.value)


def test_a_switch_given_twice_and_differently_is_refused():
    with pytest.raises(RecipeError, match=r"augment\.tca: is 0\.3 here, and method\.tca is 0\.2; give it once"):
        read("vtdl", "augment.tca=0.3", "method.tca=0.2")
    three = f"augment={{views: [{RESIZE}, {RESIZE}, {RESIZE}]}}"
    with pytest.raises(RecipeError, match=r"augment\.views: makes method\.tca void"):
        read("vtdl", three, "method.tca=0.2")


def test_fine_tuning_has_no_such_block():
    block = {"data": {"source": "x"}, "task": {"name": "planes"}, "augment": {"consistent": False}}
    with pytest.raises(RecipeError, match="unknown key 'augment'"):
        read_recipe(block)
