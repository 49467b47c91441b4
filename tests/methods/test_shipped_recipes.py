"""Each method has a small and a paper-scale recipe; each builds; values say whose they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from usssl import methods
from usssl.engine.pretraining import build_method
from usssl.recipe import PretrainRecipe, read_recipe
from usssl.schedule import learning_rate

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes"
PRETRAINING = [path for path in sorted(RECIPES.rglob("*.yaml")) if re.search(r"^method:", path.read_text(), re.M)]
PAPER = sorted((RECIPES / "paper").glob("*.yaml"))
MARKED = sorted({*PAPER, *(path for path in PRETRAINING if "Each value is marked" in path.read_text())})


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_every_method_has_one(scale: str) -> None:
    own = [name for name in methods.names() if methods.get(name).__module__.startswith("usssl.")]
    assert {path.stem for path in (RECIPES / scale).glob("*.yaml")} >= set(own)
    for path in (RECIPES / scale).glob("*.yaml"):
        recipe = read_recipe(path)
        assert not isinstance(recipe, PretrainRecipe) or recipe.method.name == path.stem


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_recipe_builds_its_method(path: Path) -> None:
    recipe = read_recipe(path)
    assert isinstance(recipe, PretrainRecipe)
    with torch.device("meta"):
        method = build_method(recipe)
    assert method.sampler().frames == recipe.data.clip.frames
    for augment in method.chosen_augmentations():
        augment.check(recipe.data.stored_size, recipe.data.clip.frames)


@pytest.mark.parametrize("path", MARKED, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_value_says_where_it_comes_from(path: Path) -> None:
    for line in path.read_text().splitlines():
        if re.match(r"\s*\w+:\s*[^\s#]", line):
            assert re.search(r"# (paper|code|sister|ours)\b", line), line
            assert not re.search(r"# ours: \d", line), f"reads as if another value were ours: {line}"


def test_small_recipes_of_released_code_are_marked() -> None:
    assert {path.stem for path in MARKED if path.parent.name == "small"} >= {"cate", "cep", "cvrl", "vtdl"}


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.name)
def test_every_paper_scale_value_is_there(path: Path) -> None:
    given, recipe = yaml.safe_load(path.read_text()), read_recipe(path).model_dump(mode="json")
    unused = {"labelled_cines"} | (set() if recipe["schedule"]["name"] == "steps" else {"milestones", "factor"})
    for block in ("data", "encoder", "method", "optimizer", "schedule", "trainer"):
        assert set(recipe[block]) - set(given[block]) <= unused, "labelled_cines is of fine-tuning"


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_recipe_says_that_the_kind_sets_ranges_only_where_it_does(path: Path) -> None:
    recipe, text = read_recipe(path), path.read_text()
    assert isinstance(recipe, PretrainRecipe)
    if methods.get(recipe.method.name).preset is None:
        assert "ranges of augmentation" not in text
    elif path.parent.name in ("small", "paper"):
        assert "ranges of augmentation" in text


def test_the_rate_of_the_sister_work_is_a_tenth_in_its_last_two_epochs() -> None:
    recipe = read_recipe(RECIPES / "paper" / "order_transform.yaml")
    rates = [learning_rate(recipe.schedule, recipe.optimizer.lr, epoch, 1, 8) for epoch in range(8)]
    assert rates == pytest.approx([0.1] * 6 + [0.01] * 2)


PAGES = sorted((RECIPES.parent / "docs" / "methods").glob("*.md"))
COMMANDS = [
    match.groups()
    for page in PAGES
    for match in re.finditer(r"^ {4}usssl pretrain (recipes/\S+\.yaml)([^#\n]*)", page.read_text(), re.M)
]


@pytest.mark.parametrize(("path", "overrides"), COMMANDS, ids=lambda part: part.strip())
def test_commands_of_the_method_pages_name_keys_that_exist(path: str, overrides: str) -> None:
    recipe = read_recipe(RECIPES.parent / path, overrides.split())
    assert isinstance(recipe, PretrainRecipe)
    with torch.device("meta"):
        build_method(recipe).chosen_augmentations()


def test_every_method_page_has_commands() -> None:
    assert {Path(path).stem for path, _ in COMMANDS} >= {"cvrl", "vtdl", "cep", "cate"}
