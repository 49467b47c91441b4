"""Fine-tuning: a recipe with `task:` in, a run with a labelled model out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from usssl import progress, tasks
from usssl.augment.seeds import Seeds
from usssl.data import Store, resolve_source
from usssl.engine.batches import read_ahead, sector_mask
from usssl.engine.devices import resolve
from usssl.engine.handlers import Checkpoints, KeepBest, MetricsLogger, Progress
from usssl.engine.pretraining import split_cines, store_size
from usssl.engine.run import Run, read_weights, write_text
from usssl.engine.training import Training, TrainingState, build_optimizer
from usssl.errors import RecipeError, UsageError
from usssl.models import encoders
from usssl.models.encoders import Encoder
from usssl.recipe import EncoderArguments, FinetuneRecipe, PretrainRecipe, read_recipe
from usssl.tasks.base import FrameKey, Predictor, Task, TaskHead
from usssl.tasks.frames import FrameAugmentation

RANDOM = "random"
_WITHOUT_SCREEN = 0.5  # share of training frames without burned-in text, so that nothing is learned from it


class TaskModel(nn.Module):
    """What fine-tuning trains: an encoder and a task's head, on normalised clips."""

    def __init__(self, encoder: Encoder, head: TaskHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """The head's named outputs."""
        outputs: dict[str, Tensor] = self.head(self.encoder.features(clips).float())
        return outputs


def finetune(
    recipe: str | Path | Mapping[str, Any] | FinetuneRecipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Fine-tunes an encoder on labelled cines and measures it on the test cines.

    Args:
        recipe: a recipe with `task:`; a YAML file, its content, or read already.
        overrides: `{"start_from": "runs/fetal"}` or `["start_from=runs/fetal"]`.
        out: the run folder; `runs/<recipe's name>` where None.
        resume: go on with the unfinished run in `out`.

    Returns:
        The finished run; its `test.json` holds the figures on the test cines.

    Raises:
        RecipeError, UsageError, OutputError: before any work.
    """
    typed = read_recipe(recipe, overrides)
    if not isinstance(typed, FinetuneRecipe):
        raise RecipeError("this recipe has `method:`, not `task:`; use `usssl pretrain`")
    out = Path(out or Path("runs") / (Path(recipe).stem if isinstance(recipe, str | Path) else typed.task.name))
    Run.check_writable(out)
    arguments, weights = starting_point(typed)
    store = resolve_source(typed.data.source, size=store_size(typed))
    task = build_task(typed, store)
    chosen = labelled_cines(task, split_cines(store, "train"), typed.data.labelled_cines, typed.seed)
    typed = resolve(typed, clips_per_epoch=64 * len(chosen)).model_copy(update={"encoder": arguments})
    run = Run.create(out, typed, resume=resume)
    if run.finished:
        progress.say(f"{run.path} is finished already")
        return run
    torch.manual_seed(typed.seed)
    model = build_model(typed, task, weights).to(typed.trainer.device)
    state = TrainingState(model, build_optimizer(typed.optimizer, model))
    if checkpoint := run.load_checkpoint():
        state.load_state_dict(checkpoint)
        run.drop_metrics_after(state.step)
    else:
        run.write_provenance(
            seed=typed.seed, data={"source": typed.data.source, "cines": len(chosen), "store": store.id}
        )
    steps_per_epoch = max(1, int(typed.trainer.clips_per_epoch) // typed.trainer.batch_size)
    batches = FrameBatches(task, chosen, typed.trainer.batch_size, typed.seed)
    loader = read_ahead(batches, state.step, steps_per_epoch * typed.trainer.epochs, int(typed.trainer.workers))
    training = Training(model, _forward(model, task, typed.seed), typed, loader, steps_per_epoch, state)
    logger = MetricsLogger(run, training, tensorboard=typed.tracking.tensorboard)
    logger.attach(training.trainer)
    Progress(training, f"Fine-tuning {typed.task.name}").attach(training.trainer)
    best = _keep_best(typed, training, task, logger)
    if best:
        best.attach(training.trainer)
    Checkpoints(run, training).attach(training.trainer)
    training.run()
    if best:
        model.load_state_dict(best.weights)
        run.log(f"kept the weights after epoch {state.kept['best']['epoch']}, the best on the validation cines")
    test = [cine for cine in split_cines(store, "test") if task.labelled(cine)]
    if test:
        result = task.evaluate(Predictor(model.encoder, model.head, store, typed.data.clip.size), test)
        write_text(run.path / "test.json", json.dumps({"cines": len(test), **asdict(result)}, indent=1) + "\n")
    facts = {
        "encoder": typed.encoder.model_dump_json(),
        "task": typed.task.name,
        "classes": json.dumps(list(task.classes)),
    }
    run.save_weights("model", model.state_dict(), facts)
    run.save_weights("encoder", model.encoder.state_dict(), facts)
    run.log("finished")
    return run


def _keep_best(recipe: FinetuneRecipe, training: Training, task: Task, logger: MetricsLogger) -> KeepBest | None:
    """Chooses the weights on validation cines, where the recipe wants it and some have labels."""
    labelled = [cine for cine in split_cines(task.store, "val") if task.labelled(cine)]
    cines = labelled[: recipe.validation_cines]
    if recipe.keep == "last" or not cines:
        return None
    model = training.model
    assert isinstance(model, TaskModel)
    predict = Predictor(model.encoder, model.head, task.store, task.size, bf16=training.bf16)
    measure = lambda: task.evaluate(predict, cines).metrics  # noqa: E731
    return KeepBest(training, measure, task.metric, higher_is_better=task.higher_is_better, logger=logger)


class FrameBatches(Dataset[tuple[list[FrameKey], Tensor, Tensor]]):
    """Batch `step` of a fine-tuning: frames that the task draws, as a pure function of the seed and the step."""

    def __init__(self, task: Task, cines: Sequence[int], batch_size: int, seed: int) -> None:
        self.task, self.cines, self.batch_size, self.seed = task, list(cines), batch_size, seed
        self.sectors = {cine: sector_mask(task.store, cine) for cine in self.cines}

    def __getitem__(self, step: int) -> tuple[list[FrameKey], Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        keys = self.task.draw(self.cines, self.batch_size, rng)
        frames = np.concatenate([self.task.store.read(cine, [frame]) for cine, frame in keys])
        for number, (cine, _) in enumerate(keys):
            if rng.random() < _WITHOUT_SCREEN:
                frames[number] *= self.sectors[cine]
        return keys, torch.from_numpy(frames), step * self.batch_size + torch.arange(self.batch_size)


def starting_point(recipe: FinetuneRecipe) -> tuple[EncoderArguments, dict[str, Tensor] | None]:
    """The encoder that fine-tuning starts from, and its weights (None: random).

    Raises:
        UsageError: `start_from` names no finished run and no readable weights.
    """
    if recipe.start_from == RANDOM:
        return recipe.encoder, None
    path = Path(recipe.start_from)
    if path.suffix == ".safetensors":
        return recipe.encoder, read_weights(path)
    run = Run.open(path)
    return run.recipe().encoder, run.load_weights("encoder")


def build_task(recipe: FinetuneRecipe, store: Store) -> Task:
    """The task of a recipe over a store."""
    return tasks.get(recipe.task.name)(recipe.task, store, recipe.data.clip.size)  # type: ignore[arg-type]


def build_model(recipe: FinetuneRecipe, task: Task, weights: Mapping[str, Tensor] | None) -> TaskModel:
    """A task's model; the head is fresh, the encoder has the weights given, or fresh ones.

    Raises:
        UsageError: the weights are of another encoder.
    """
    arguments = recipe.encoder
    encoder = encoders.build(arguments.name, channels=1, width=arguments.width, output_stride=task.output_stride)
    if weights is not None:
        try:
            encoder.load_state_dict(weights)
        except RuntimeError:
            raise UsageError(
                f"the weights of {recipe.start_from} are not of the encoder {arguments.name} at width {arguments.width}"
            ) from None
    return TaskModel(encoder, task.head(encoder))


def labelled_cines(task: Task, cines: Sequence[int], count: int | None, seed: int) -> list[int]:
    """Chooses `count` labelled cines by the seed, such that together they hold every class if any choice does.

    Raises:
        UsageError: there are not so many.
    """
    labelled = [cine for cine in cines if task.labelled(cine)]
    if count is None:
        count = len(labelled)
    if not labelled or count > len(labelled):
        raise UsageError(f"{count} labelled training cines are asked for, but there are {len(labelled)}")
    rng = np.random.default_rng(seed)
    best: list[int] = []
    for _ in range(200):
        chosen = [labelled[i] for i in rng.permutation(len(labelled))[:count]]
        covered = set().union(*(task.kinds(cine) for cine in chosen))
        if not best or len(covered) > len(set().union(*(task.kinds(cine) for cine in best))):
            best = chosen
    return sorted(best)


def _forward(model: TaskModel, task: Task, seed: int) -> Any:
    device = next(model.parameters()).device
    augmentation = FrameAugmentation()

    def forward(batch: tuple[list[FrameKey], Tensor, Tensor], step: int) -> dict[str, Tensor]:
        keys, frames, samples = batch
        seeds = Seeds.for_samples(seed, 0, samples)
        matrices = augmentation.matrices(seeds, task.store.size, task.size)
        targets = task.targets(keys, matrices).to(device)
        outputs = model(augmentation.views(frames.to(device), matrices, seeds, task.size))
        return {"loss": task.loss(outputs, targets)}

    return forward


def load_model(run: Run, store: Store) -> tuple[FinetuneRecipe, Task, TaskModel]:
    """A finished fine-tuning run's recipe, task and trained model.

    Raises:
        UsageError: the run is of pretraining, or not finished.
    """
    recipe = run.recipe()
    if isinstance(recipe, PretrainRecipe):
        raise UsageError(
            f"{run.path} is a pretraining run; fine-tune it first (usssl finetune … start_from={run.path})"
        )
    task = build_task(recipe, store)
    model = build_model(recipe, task, None)
    model.load_state_dict(run.load_weights("model"))
    return recipe, task, model.eval()
