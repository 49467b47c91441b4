"""Recipes: read strictly, overridden anywhere, errors in one line that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from usssl.errors import RecipeError, UsageError
from usssl.recipe import FinetuneRecipe, PretrainRecipe, dump_recipe, read_recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").rglob("*.yaml"))
MINIMAL = {"data": {"source": "samples:fetal"}, "method": {"name": "order_transform"}}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid_and_survives_being_written_out(path: Path) -> None:
    recipe = read_recipe(path)
    assert read_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe


def test_a_recipe_names_a_method_or_a_task() -> None:
    assert isinstance(read_recipe(MINIMAL), PretrainRecipe)
    assert isinstance(read_recipe({"data": {"source": "x"}, "task": {"name": "planes"}}), FinetuneRecipe)
    with pytest.raises(RecipeError, match=r"either `method:` .* or `task:`"):
        read_recipe({"data": {"source": "x"}})


def test_overrides_reach_any_key_and_are_typed() -> None:
    recipe = read_recipe(MINIMAL, ["optimizer.lr=1e-3", "data.clip.size=[64, 96]", "method.transform_weight=0"])
    assert recipe.optimizer.lr == 1e-3
    assert recipe.data.clip.size == (64, 96)
    assert recipe.model_dump()["method"]["transform_weight"] == 0
    assert read_recipe(MINIMAL, {"trainer.epochs": 3}).trainer.epochs == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lrr=0.1", r"unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'\?"),
        ("optimiser.lr=0.1", r"unknown key 'optimiser'; did you mean 'optimizer'\?"),
        ("method.transform_wight=2", r"unknown key 'method.transform_wight'; did you mean 'method.transform_weight'\?"),
        ("data.clip.fames=2", r"unknown key 'data.clip.fames'; did you mean 'data.clip.frames'\?"),
        ("lr=0.1", r"unknown key 'lr'; did you mean 'optimizer.lr'\?"),
        ("optimizer.lr=-1", r"optimizer.lr: .*greater than 0"),
        ("optimizer.lr=.nan", r"optimizer.lr: "),
        ("data.clip.frames=0", r"data.clip.frames: .*greater than 0"),
        ("data.clip.size=[8, 8]", r"data.clip.size: height and width are from 32 to 1024 pixels"),
        ("method.name=order_transfrm", r"unknown method 'order_transfrm'; did you mean 'order_transform'\?"),
        ("trainer.device=tpu", r"trainer.device: "),
        ("encoder.name=r3d18", r"encoder.name: order_transform needs .*each frame by itself.* r3d18 sees frames"),
        ("encoder.name=slowonly50", r"encoder.name: order_transform .* slowonly50 sees"),
        ("encoder.name=resnet", r"unknown encoder 'resnet'; known are: "),
        ("schedule.name=steps", r"schedule: `name: steps` and `milestones` go together"),
        ("schedule.milestones=[120]", r"schedule: `name: steps` and `milestones` go together"),
        ("schedule={name: steps, milestones: [0]}", r"schedule.milestones.0: .*greater than 0"),
        ("schedule={name: steps, milestones: [2, 2]}", r"schedule.milestones: each milestone should be later"),
        ("schedule={name: steps, milestones: [1], warmup_epochs: 2}", r"schedule: .*should not lie within"),
        ("schedule={name: steps, milestones: [1], factor: 0}", r"schedule.factor: .*greater than 0"),
        ("method={name: cate, heads: 3}", r"method.width: 256 should be a multiple of method.heads, 3"),
        ("method={name: cate, width: 7}", r"method.width: 7 should be a multiple of method.heads, 4"),
        ("seed.x=1", r"seed.x: 'seed' is not a block of keys"),
    ],
)
def test_a_bad_key_or_value_gives_one_sentence_that_names_it(override: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        read_recipe(MINIMAL | {"seed": 0}, [override])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_override_without_equals_sign_is_refused() -> None:
    with pytest.raises(UsageError, match="write KEY=VALUE"):
        read_recipe(MINIMAL, ["optimizer.lr"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {source: x", "not valid YAML"),
        ("- a\n- b\n", "not a recipe"),
        ("seed: 1\nseed: 2\n", "'seed' stands there twice"),
        ("data: !!python/object/apply:os.system ['echo hello']\n", "not valid YAML"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=said):
        read_recipe(path)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no recipe at"):
        read_recipe(tmp_path / "nowhere.yaml")
