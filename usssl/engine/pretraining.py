"""Pretraining: a recipe in, a run out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from usssl import methods, progress
from usssl.data import Store, resolve_source
from usssl.engine.batches import ClipBatches, read_ahead
from usssl.engine.collapse import CollapseMonitor
from usssl.engine.devices import resolve
from usssl.engine.handlers import Checkpoints, MetricsLogger, Progress, Validation, means_of
from usssl.engine.ranks import (
    OtherRank,
    Share,
    across_ranks,
    check_same,
    check_share,
    mean_over_ranks,
    rank_zero_first,
)
from usssl.engine.run import Run
from usssl.engine.training import Training, TrainingState, build_optimizer
from usssl.errors import RecipeError
from usssl.methods import Clips, Method
from usssl.methods.parts.gather import rank, ranks
from usssl.models import encoders
from usssl.recipe import PretrainData, PretrainRecipe, Recipe, read_recipe

_CLIPS_PER_CINE = 4
_VALIDATION_CLIPS, _VALIDATION_BATCH = 256, 32


def pretrain(
    recipe: str | Path | Mapping[str, Any] | PretrainRecipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Pretrains an encoder without labels.

    Args:
        recipe: a recipe with `method:`; a YAML file, its content, or read already.
        overrides: `{"optimizer.lr": 0.01}` or `["optimizer.lr=0.01"]`.
        out: the run folder; `runs/<recipe's name>` where None.
        resume: go on with the unfinished run in `out`.

    Returns:
        The finished run: `encoder.safetensors`, `metrics.jsonl`, checkpoints, resolved recipe.

    Raises:
        RecipeError, UsageError, OutputError: before any work.
    """
    with across_ranks():
        typed = rank_zero_first(lambda: _read(recipe, overrides))
        name = Path(recipe).stem if isinstance(recipe, str | Path) else typed.method.name
        return _train(typed, Path(out or Path("runs") / name), resume=resume)


def _read(recipe: Any, overrides: Any) -> PretrainRecipe:
    typed = read_recipe(recipe, overrides)
    if not isinstance(typed, PretrainRecipe):
        raise RecipeError("this recipe has `task:`, not `method:`; use `usssl finetune`")
    check_share(typed.trainer)
    return typed


def _train(typed: PretrainRecipe, out: Path, *, resume: bool) -> Run:
    rank_zero_first(lambda: Run.check_writable(out) if rank() == 0 else None)
    method = build_method(typed)
    source = typed.data.source
    store = open_data(typed)
    train = split_cines(store, "train")
    held_out_cines = split_cines(store, "val") or split_cines(store, "test")
    typed = resolve(typed, clips_per_epoch=_CLIPS_PER_CINE * len(train))
    resolved = typed
    run = rank_zero_first(lambda: Run.create(out, resolved, resume=resume) if rank() == 0 else OtherRank(out))
    if run.finished:
        progress.say(f"{run.path} is finished already")
        return run
    torch.manual_seed(typed.seed)
    method = build_method(typed).to(typed.trainer.device)
    state = TrainingState(method, build_optimizer(typed.optimizer, method))
    if checkpoint := run.load_checkpoint():
        state.load_state_dict(checkpoint)
        run.drop_metrics_after(state.step)
    else:
        run.write_provenance(
            seed=typed.seed, data={"source": source, "cines": len(train), "store": store.id}, ranks=ranks()
        )
    check_same(state.step)
    sectors = typed.data.kind == "ultrasound"
    batches = ClipBatches(store, train, method.sampler(), typed.trainer.batch_size, typed.seed, sectors=sectors)
    if batches.skipped:
        run.log(f"{batches.skipped} of {len(train)} training cines offer no clip and are left out")
    steps_per_epoch = max(1, int(typed.trainer.clips_per_epoch) // typed.trainer.batch_size)
    loader = read_ahead(Share(batches), state.step, steps_per_epoch * typed.trainer.epochs, int(typed.trainer.workers))
    forward = _forward(method, typed.seed)
    training = Training(method, forward, typed, loader, steps_per_epoch, state, method.after_step)
    monitor = CollapseMonitor(run, method, typed.trainer.batch_size)
    logger = MetricsLogger(run, training, tensorboard=typed.tracking.tensorboard)
    logger.measures.append(monitor.measure)
    logger.attach(training.trainer)
    monitor.attach(training.trainer)
    Progress(training, "Pretraining").attach(training.trainer)
    if held_out_cines:
        size = ranks() * max(2, _VALIDATION_BATCH // ranks())
        held_out = ClipBatches(store, held_out_cines, method.sampler(), size, typed.seed + 1, sectors=sectors)
        every = max(1, typed.trainer.epochs // 10)
        measure = lambda: measure_method(method, held_out, bf16=training.bf16)  # noqa: E731
        Validation(measure, logger, every_epochs=every).attach(training.trainer)
    Checkpoints(run, training).attach(training.trainer)
    run.log(f"pretraining from step {state.step} to {training.steps}")
    training.run()
    facts = {"encoder": typed.encoder.model_dump_json(), "method": typed.method.name}
    run.save_weights("method", method.state_dict(), facts)
    run.save_weights("encoder", method.encoder.state_dict(), facts)
    run.log("finished")
    return run


def build_method(recipe: PretrainRecipe) -> Method:
    """The method of a recipe, with fresh weights."""
    encoder = encoders.build(recipe.encoder.name, channels=recipe.data.channels, width=recipe.encoder.width)
    arguments = recipe.method.model_dump()
    augment = None if recipe.augment is None else recipe.augment.build(recipe.data.clip.size)
    return methods.build(arguments.pop("name"), encoder=encoder, clip=recipe.data.clip, augment=augment, **arguments)


def open_data(recipe: Recipe) -> Store:
    """The prepared frames of a recipe, of its size, colour and masks; made where they are not there yet.

    Raises:
        UsageError: there are none, or the recipe names a store of another size, colour or mask.
    """
    data = recipe.data
    if isinstance(data, PretrainData):
        return resolve_source(data.source, size=data.stored_size, color=data.color, mask=data.mask)
    return resolve_source(data.source, size=data.stored_size, color=data.color)


def store_size(recipe: Recipe) -> tuple[int, int]:
    """The size of stored frames: the clip's, times the margin, rounded to even pixels."""
    return recipe.data.stored_size


def split_cines(store: Store, split: str) -> list[int]:
    """The rows of the store that belong to a split."""
    return [row for row, name in enumerate(store.table["split"].to_pylist()) if name == split]


@torch.no_grad()
def measure_method(
    method: Method, batches: ClipBatches, *, bf16: bool, clips: int = _VALIDATION_CLIPS
) -> dict[str, float]:
    """The method's losses and measures on held-out cines, each named `val_…`; the same clips at every call."""
    device = next(method.parameters()).device
    method.eval()
    outputs: list[dict[str, Tensor]] = []
    share = Share(batches)
    for step in range(max(1, clips // batches.batch_size)):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            outputs.append(method(method.views(share[step].to(device), batches.seed)))
    return {f"val_{name}": value for name, value in mean_over_ranks(means_of(outputs)).items()}


def _forward(method: Method, seed: int) -> Any:
    device = next(method.parameters()).device

    def forward(clips: Clips, step: int) -> dict[str, Tensor]:
        return method(method.views(clips.to(device), seed))

    return forward
