"""The sheet of a recipe: every method's views of the recipe's own cines, on one page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from usssl import methods
from usssl.engine.augment_sheet import draw_samples, draw_sheet
from usssl.errors import RecipeError
from usssl.recipe import PretrainRecipe, read_recipe


def recipe(source: Path, method: str, *overrides: str) -> PretrainRecipe:
    data = {"source": str(source), "clip": {"frames": 4, "step": 3, "size": [48, 64]}}
    encoder = {"name": "sononet16", "width": 0.25}
    typed = read_recipe({"data": data, "encoder": encoder, "method": {"name": method}}, overrides)
    assert isinstance(typed, PretrainRecipe)
    return typed


@pytest.mark.parametrize(
    ("method", "originals", "views"),
    [("order_transform", 1, 2), ("cvrl", 2, 2), ("vtdl", 2, 3), ("cate", 2, 2), ("cep", 2, 2)],
)
def test_each_clip_and_each_view_of_every_method_is_shown(
    source: Path, tmp_path: Path, method: str, originals: int, views: int
) -> None:
    page = draw_sheet(recipe(source, method), out=tmp_path / "sheet.html", cines=3).read_text()
    pictures = re.findall(r'alt="(original|view \d)"', page)
    assert page.count("<h2>cine") == 3
    assert pictures.count("original") <= 3 * originals
    assert len(pictures) - pictures.count("original") == 3 * views
    assert ".mp4" not in page, "files may be named after patients"
    assert "start s" in page, "times of the cine are known"
    assert method in page
    assert "nan" not in re.sub("<[^>]*>", " ", page)


def test_every_method_is_in_the_test_above() -> None:
    assert set(methods.names()) == {"order_transform", "cvrl", "vtdl", "cate", "cep"}


def test_it_shows_the_first_samples_of_the_training_and_follows_overrides(source: Path) -> None:
    (one,), names = draw_samples(recipe(source, "vtdl"), cines=1, shown=4)
    (same,), again = draw_samples(recipe(source, "vtdl"), cines=1, shown=4)
    assert names == again
    assert all(np.array_equal(a, b) for a, b in zip(one.views, same.views, strict=True))
    (strong,), _ = draw_samples(recipe(source, "vtdl", "augment.tca=1"), cines=1, shown=4)
    assert "tca" in strong.records[0]
    assert not np.array_equal(strong.views[0], one.views[0])
    assert all(np.array_equal(a, b) for a, b in zip(one.views[1:], strong.views[1:], strict=True))
    (other,), _ = draw_samples(recipe(source, "vtdl", "seed=1"), cines=1, shown=4)
    assert not np.array_equal(other.views[1], one.views[1])


def test_a_fine_tuning_recipe_makes_no_views(source: Path, tmp_path: Path) -> None:
    block: dict[str, Any] = {"data": {"source": str(source)}, "task": {"name": "planes"}}
    with pytest.raises(RecipeError, match="only recipes with `method:` make views"):
        draw_sheet(block, out=tmp_path / "sheet.html")
