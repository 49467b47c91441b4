"""Whether order_transform is solved by the anatomy: its accuracy where a shortcut would show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from usssl.engine.batches import ClipBatches
from usssl.engine.pretraining import build_method, open_data, split_cines
from usssl.engine.run import Run, write_text
from usssl.errors import UsageError
from usssl.methods import Clips
from usssl.methods.order_transform import OrderTransform
from usssl.recipe import PretrainRecipe
from usssl.tasks.intervals import bootstrap_interval

_BATCH = 32
_BORDER = 0.1  # share of the view's height and width that a masked border takes on each side


@dataclass(frozen=True)
class ShortcutResult:
    """Order accuracy under one condition.

    Attributes:
        condition: `held_out`, `frozen`, `masked_border` or `border_only`.
        accuracy: share of clips whose order class is right.
        low: lower end of the 95 % interval, whole cines resampled.
        high: upper end.
        clips: number of clips.
        chance: one over the number of classes.
    """

    condition: str
    accuracy: float
    low: float
    high: float
    clips: int
    chance: float


def check_shortcuts(run: Run, *, clips: int = 768, out: Path | None = None) -> list[ShortcutResult]:
    """Measures order accuracy on test patients as it is and where it should or should not hold.

    Frozen cines have no order to find, so accuracy should fall to chance; with the view's border masked nothing should
    change; and of the border alone little should be found.

    Args:
        run: a finished pretraining run of `order_transform`.
        clips: number of clips for each condition.
        out: a JSON file to write the results to.

    Raises:
        UsageError: another method, or no test cines.
    """
    recipe = run.recipe()
    if not isinstance(recipe, PretrainRecipe):
        raise UsageError(f"{run.path} is not a pretraining run")
    method = build_method(recipe)
    if not isinstance(method, OrderTransform):
        raise UsageError(f"{run.path} was pretrained with {recipe.method.name}; these checks are for order_transform")
    method.load_state_dict(run.load_weights("method"))
    method.eval()
    store = open_data(recipe)
    cines = split_cines(store, "test") or split_cines(store, "val")
    if not cines:
        raise UsageError("there are no held-out cines: give a `split` column in labels.csv")
    batches = ClipBatches(
        store, cines, method.sampler(), _BATCH, recipe.seed + 2, sectors=recipe.data.kind == "ultrasound"
    )
    conditions: dict[str, tuple[Callable[[Clips], Clips], Callable[[Tensor], Tensor]]] = {
        "held_out": (_same, _same),
        "frozen": (freeze, _same),
        "masked_border": (_same, lambda views: mask(views, inside=True)),
        "border_only": (_same, lambda views: mask(views, inside=False)),
    }
    results = [
        _measure(name, method, batches, change_clips, change_views, clips, bf16=recipe.trainer.precision == "bf16")
        for name, (change_clips, change_views) in conditions.items()
    ]
    if out:
        write_text(out, json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return results


def freeze(clips: Clips) -> Clips:
    """The same clips with their first frame in place of all."""
    return replace(clips, frames=clips.frames[:, :, :1].expand_as(clips.frames).contiguous())


def mask(views: Tensor, *, inside: bool) -> Tensor:
    """Views `(batch, K, 1, h, w)` with their border darkened (`inside` is kept), or everything but the border."""
    height, width = views.shape[-2:]
    top, left = round(_BORDER * height), round(_BORDER * width)
    kept = torch.zeros(height, width, dtype=torch.bool)
    kept[top : height - top, left : width - left] = True
    return torch.where(kept if inside else ~kept, views, views.amin())


@torch.no_grad()
def _measure(
    name: str,
    method: OrderTransform,
    batches: ClipBatches,
    change_clips: Callable[[Clips], Clips],
    change_views: Callable[[Tensor], Tensor],
    clips: int,
    *,
    bf16: bool,
) -> ShortcutResult:
    right: list[np.ndarray] = []
    cines: list[int] = []
    for step in range(-(-clips // batches.batch_size)):
        cines += batches.cines_of(step)
        views = method.views(change_clips(batches[step]), batches.seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = method.order_scores(views | {name: change_views(views[name]) for name in ("clip", "transformed")})
        right.append((logits.argmax(dim=2) == views["order"]).float().mean(dim=1).numpy())
    hits = np.concatenate(right)
    interval = bootstrap_interval(lambda chosen: float(hits[chosen].mean()), cines)
    return ShortcutResult(name, float(hits.mean()), interval.low, interval.high, len(hits), 1 / len(method.classes))


def _same(anything: Any) -> Any:
    return anything
