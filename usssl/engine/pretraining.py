"""Pretraining: a recipe in, a run out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from usssl import methods, progress
from usssl.data import Store, resolve_source
from usssl.data.sampling import Sampler, Timeline
from usssl.engine.batches import ClipBatches, loops, read_ahead
from usssl.engine.collapse import CollapseMonitor
from usssl.engine.devices import check_device, resolve
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
from usssl.errors import RecipeError, UsageError, UssslError
from usssl.methods import Clips, Method
from usssl.methods.parts.batch_norm import groups_in_words, has_batch_norm
from usssl.methods.parts.gather import rank, ranks
from usssl.models import encoders
from usssl.recipe import PretrainData, PretrainRecipe, Recipe, read_recipe

T = TypeVar("T")

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
    check_device(typed.trainer)
    return typed


def _train(typed: PretrainRecipe, out: Path, *, resume: bool) -> Run:
    rank_zero_first(lambda: Run.check_writable(out) if rank() == 0 else None)
    sampler = rank_zero_first(lambda: build_method(typed)).sampler()
    source = typed.data.source
    told: list[str] = []
    store = open_data(typed, told.append)
    cines = len(split_cines(store, "train"))
    typed = resolve(typed, clips_per_epoch=_CLIPS_PER_CINE * cines)
    resolved = typed
    run = rank_zero_first(lambda: Run.check(out, resolved, resume=resume) if rank() == 0 else OtherRank(out))
    if run.finished:
        progress.say(f"{run.path} is finished already")
        return run
    batches, held_out, lacks = _on_all_ranks(lambda: _batches(resolved, store, sampler))
    rank_zero_first(lambda: Run.create(out, resolved, resume=resume) if rank() == 0 else None)
    for line in lacks:
        progress.say(line)
    for line in (*told, *lacks):
        run.log(line)
    torch.manual_seed(typed.seed)
    method = build_method(typed).to(typed.trainer.device)
    state = TrainingState(method, build_optimizer(typed.optimizer, method))
    if checkpoint := run.load_checkpoint():
        state.load_state_dict(checkpoint)
        run.drop_metrics_after(state.step)
    else:
        run.write_provenance(seed=typed.seed, data={"source": source, "cines": cines, "store": store.id}, ranks=ranks())
    check_same(state.step)
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
    if held_out is not None:
        every = max(1, typed.trainer.epochs // 10)
        measure = lambda: measure_method(method, held_out, bf16=training.bf16)  # noqa: E731
        Validation(measure, logger, every_epochs=every).attach(training.trainer)
    Checkpoints(run, training).attach(training.trainer)
    _say_groups(run, method, typed.trainer.batch_size // ranks())
    run.log(f"pretraining from step {state.step} to {training.steps}")
    training.run()
    facts = {"encoder": typed.encoder.model_dump_json(), "method": typed.method.name}
    run.save_weights("method", method.state_dict(), facts)
    run.save_weights("encoder", method.encoder.state_dict(), facts)
    run.log("finished")
    return run


def _on_all_ranks(work: Callable[[], T]) -> T:
    """Does on all ranks at once what takes long; where it fails, rank 0 alone says why, as by `rank_zero_first`."""
    found: T | UssslError
    try:
        found = work()
    except UssslError as error:
        found = error

    def agree() -> T:
        if isinstance(found, UssslError):
            raise found
        return found

    return rank_zero_first(agree)


def _batches(
    recipe: PretrainRecipe, store: Store, sampler: Sampler
) -> tuple[ClipBatches, ClipBatches | None, list[str]]:
    """What is trained on, what is validated on, if anything, and sentences that say what the data lack.

    Raises:
        UsageError: nothing can be trained on.
    """
    cines, size = split_cines(store, "train"), recipe.trainer.batch_size
    _check_training_cines(store, cines, sampler)
    sectors = recipe.data.kind == "ultrasound"
    batches = ClipBatches(store, cines, sampler, size, recipe.seed, sectors=sectors)
    lacks = _lacks(batches, len(cines), sampler)
    held_out = split_cines(store, "val") or split_cines(store, "test")
    if not held_out:
        return batches, None, [*lacks, "no validation: no cine is in val or test"]
    size = ranks() * max(2, _VALIDATION_BATCH // ranks())
    try:
        return batches, ClipBatches(store, held_out, sampler, size, recipe.seed + 1, sectors=sectors), lacks
    except UsageError as error:
        return batches, None, [*lacks, f"no validation: {error}"]


def _lacks(batches: ClipBatches, cines: int, sampler: Sampler) -> list[str]:
    """What to know of training batches of so many cines: of those left out, of those too short, and of too few."""
    found = []
    if batches.skipped:
        found.append(f"{batches.skipped} of {cines} training cines offer no clip and are left out")
    if short := sum(loops(sampler, Timeline.of(batches.store.times(cine))) for cine in batches.cines):
        step = "data.clip.step" if sampler.step_s is None else "method.step_s"
        found.append(
            f"{short} of {cines} training cines ({100 * short / cines:.0f} %) cannot hold a clip whole, so that their "
            f"clips begin anew where the cine ends; lower {step} or data.clip.frames"
        )
    if len(batches.cines) < batches.batch_size:
        found.append(
            f"only {_counted(len(batches.cines))} for batches of {batches.batch_size}, so that a batch shows the same "
            "cine more than once; add cines or lower trainer.batch_size"
        )
    return found


def _check_training_cines(store: Store, cines: list[int], sampler: Sampler) -> None:
    """Refuses data without training cines, and single frames where clips have more; no frame is read."""
    if not cines:
        splits = " and ".join(sorted(set(store.table["split"].to_pylist()), reverse=True))
        raise UsageError(
            f"no training cine: all that there are ({len(store)}) fell to {splits}; add cines or state `split` in "
            "labels.csv"
        )
    if store.frame_counts[cines].max() == 1 and loops(sampler, Timeline.of(store.times(cines[0]))):
        hint = "" if sampler.frames == 1 else ", or set data.clip.frames=1 for a method that learns from pictures"
        raise UsageError(
            f"all training cines ({len(cines)}) are single frames, of which no clip can be made; name cines of several "
            f"frames{hint}"
        )


def _counted(cines: int) -> str:
    return "1 training cine" if cines == 1 else f"{cines} training cines"


def _say_groups(run: Run, method: Method, batch: int) -> None:
    """Says on the console and in the log where batch statistics are not in the groups that the method asks for."""
    said = groups_in_words(getattr(method, "bn_groups", 1), batch) if has_batch_norm(method.encoder) else None
    if said is not None:
        progress.say(said)
        run.log(said)


def build_method(recipe: PretrainRecipe) -> Method:
    """The method of a recipe, with fresh weights; it normalises views by itself, whatever a preset does."""
    encoder = encoders.build(recipe.encoder.name, channels=recipe.data.channels, width=recipe.encoder.width)
    arguments = recipe.method.model_dump()
    augment = None
    if recipe.augment is not None:
        plain = {"mean": (0.0,), "std": (1.0,)}
        augment = tuple(view.model_copy(update=plain) for view in recipe.augment.build(recipe.data.clip.size))
    return methods.build(arguments.pop("name"), encoder=encoder, clip=recipe.data.clip, augment=augment, **arguments)


def open_data(recipe: Recipe, note: Callable[[str], object] = lambda sentence: None) -> Store:
    """The prepared frames of a recipe, of its size, colour and masks; made where they are not there yet.

    Args:
        recipe: of a pretraining or a fine-tuning.
        note: as for `resolve_source`.

    Raises:
        UsageError: there are none, or the recipe names a store of another size, colour or mask.
    """
    data = recipe.data
    if isinstance(data, PretrainData):
        return resolve_source(data.source, size=data.stored_size, color=data.color, mask=data.mask, note=note)
    return resolve_source(data.source, size=data.stored_size, color=data.color, note=note)


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
