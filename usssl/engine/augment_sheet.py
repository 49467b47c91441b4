"""The sheet of a recipe: views of its own cines with their parameters, so that a person can judge strengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from usssl.augment.sheet import Strips, strips_of, write_sheet
from usssl.engine.batches import ClipBatches
from usssl.engine.pretraining import build_method, open_data, split_cines
from usssl.errors import RecipeError
from usssl.recipe import PretrainRecipe, read_recipe


def draw_sheet(
    recipe: str | Path | Mapping[str, Any] | PretrainRecipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    out: str | Path,
    cines: int = 4,
    shown: int = 5,
) -> Path:
    """Draws the views that the first samples of a training show, and writes them with their parameters.

    Args:
        recipe: a recipe with `method:`; a YAML file, its content, or read already.
        overrides: as of `pretrain`; another `seed` draws anew.
        out: the HTML file.
        cines: how many samples, each of another cine.
        shown: frames of each clip.

    Returns:
        The file.

    Raises:
        RecipeError, UsageError: before any work.
    """
    typed = read_recipe(recipe, overrides)
    if not isinstance(typed, PretrainRecipe):
        raise RecipeError("this recipe has `task:`; only recipes with `method:` make views")
    strips, captions = draw_samples(typed, cines=cines, shown=shown)
    name = Path(recipe).stem if isinstance(recipe, str | Path) else typed.method.name
    return write_sheet(out, strips, captions=captions, title=f"Augmentation of {name} ({typed.method.name})")


@torch.no_grad()
def draw_samples(recipe: PretrainRecipe, *, cines: int, shown: int) -> tuple[list[Strips], list[str]]:
    """The pictures of the first samples, and names of their cines: by content, as files may be named after patients."""
    method = build_method(recipe)
    store = open_data(recipe)
    rows = split_cines(store, "train") or list(range(len(store)))
    batches = ClipBatches(store, rows, method.sampler(), 1, recipe.seed, sectors=recipe.data.kind == "ultrasound")
    clips = batches.clips(range(min(cines, len(batches.cines))))
    strips = strips_of(method.sources(clips), method.augmented(clips, recipe.seed), shown=shown)
    return strips, [f"cine {store.table['id'][row].as_py()[:8]}" for row in clips.cines.tolist()]
