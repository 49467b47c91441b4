"""Fine-tuning: a recipe with `task:` in, a run with a labelled model out.

A frame encoder is shown the frames that the task draws. A clip encoder is shown a clip around each of them, in which it
stands at any of the places that it may have when a whole cine is predicted, and learns from the features of that frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from usssl import progress, tasks
from usssl.augment.seeds import Seeds
from usssl.cine.clip_windows import windows_with
from usssl.data import Store
from usssl.engine.batches import read_ahead, sector_mask
from usssl.engine.devices import check_device, resolve
from usssl.engine.handlers import Checkpoints, KeepBest, MetricsLogger, Progress
from usssl.engine.pretraining import open_data, split_cines
from usssl.engine.run import Run, read_weights, write_text
from usssl.engine.training import Training, TrainingState, build_optimizer
from usssl.errors import RecipeError, UsageError
from usssl.models import encoders
from usssl.models.encoders import Encoder
from usssl.models.per_frame import clip_seen, features_at, features_of_frames
from usssl.models.stem import fit_stem
from usssl.recipe import EncoderArguments, FinetuneRecipe, PretrainRecipe, read_recipe
from usssl.tasks.base import FrameKey, Task, TaskHead
from usssl.tasks.frames import FrameAugmentation, channels_first
from usssl.tasks.predictor import Predictor

RANDOM = "random"
_WITHOUT_SCREEN = 0.5  # share of training frames without burned-in text, so that nothing is learned from it


class TaskModel(nn.Module):
    """What fine-tuning trains: an encoder and a task's head, on normalised clips.

    Args:
        encoder: of frames or of clips.
        head: fits the encoder.
        clip: frames that the model takes at once, and the step between them; (1, 1) for a frame encoder.
    """

    def __init__(self, encoder: Encoder, head: TaskHead, clip: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.encoder, self.head, self.clip = encoder, head, clip
        self.frozen = False

    def freeze_encoder(self) -> None:
        """From now on the encoder stays as it is, its running statistics too, and gets no gradient."""
        self.frozen = True
        self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> TaskModel:
        """As `nn.Module.train`, but for a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, clips: Tensor, places: Tensor | None = None) -> dict[str, Tensor]:
        """The head's named outputs of every frame, or of the one at `places (batch,)` of each clip alone."""
        if places is None or clips.shape[1] == 1:
            features = features_of_frames(self.encoder, clips)
        else:
            features = features_at(self.encoder, clips, places)
        outputs: dict[str, Tensor] = self.head(features.float())
        return outputs


class LabelledClips(NamedTuple):
    """A batch of fine-tuning: `keys` are the labelled frames, each at its place in a clip.

    Attributes:
        keys: row of the store and frame of the cine, for each clip.
        clips: uint8 `(batch, time, channels, height, width)`; a frame encoder's are of one frame.
        places: int64 `(batch,)`, where in its clip each labelled frame stands.
        samples: int64 `(batch,)`, the numbers of the samples in the run.
    """

    keys: list[FrameKey]
    clips: Tensor
    places: Tensor
    samples: Tensor


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
    check_device(typed.trainer)
    out = Path(out or Path("runs") / (Path(recipe).stem if isinstance(recipe, str | Path) else typed.task.name))
    Run.check_writable(out)
    arguments, weights = starting_point(typed)
    told: list[str] = []
    store = open_data(typed, told.append)
    task = build_task(typed, store)
    chosen = labelled_cines(task, split_cines(store, "train"), typed.data.labelled_cines, typed.seed)
    typed = resolve(typed.model_copy(update={"encoder": arguments}), clips_per_epoch=64 * len(chosen))
    build_model(typed, task, weights)  # refuses weights and clips that do not fit before there is a run
    run = Run.create(out, typed, resume=resume)
    if run.finished:
        progress.say(f"{run.path} is finished already")
        return run
    for line in told:
        run.log(line)
    torch.manual_seed(typed.seed)
    model = build_model(typed, task, weights).to(typed.trainer.device)
    steps_per_epoch = max(1, int(typed.trainer.clips_per_epoch) // typed.trainer.batch_size)
    batches = FrameBatches(task, chosen, typed.trainer.batch_size, typed.seed, model.clip)
    forward = _forward(model, task, typed.seed)
    if typed.train == "head":
        if weights is None:
            settle_statistics(model, lambda step: forward(batches[step], step))
        model.freeze_encoder()
    state = TrainingState(model, build_optimizer(typed.optimizer, model))
    if checkpoint := run.load_checkpoint():
        state.load_state_dict(checkpoint)
        run.drop_metrics_after(state.step)
    else:
        run.write_provenance(
            seed=typed.seed, data={"source": typed.data.source, "cines": len(chosen), "store": store.id}
        )
    loader = read_ahead(batches, state.step, steps_per_epoch * typed.trainer.epochs, int(typed.trainer.workers))
    training = Training(model, forward, typed, loader, steps_per_epoch, state)
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
        predict = Predictor(model.encoder, model.head, store, typed.data.clip.size, clip=model.clip)
        result = task.evaluate(predict, test)
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
    predict = Predictor(
        model.encoder, model.head, task.store, task.size, clip=model.clip, bf16=training.bf16, frozen=model.frozen
    )
    measure = lambda: task.evaluate(predict, cines).metrics  # noqa: E731
    return KeepBest(training, measure, task.metric, higher_is_better=task.higher_is_better, logger=logger)


class FrameBatches(Dataset[LabelledClips]):
    """Batch `step` of a fine-tuning: frames that the task draws, as a pure function of the seed and the step.

    Args:
        task: draws labelled frames.
        cines: rows of the store to draw from.
        batch_size: labelled frames in a batch.
        seed: of the run.
        clip: frames of the clip around each of them, and the step between them; (1, 1): the frame alone.
    """

    def __init__(
        self, task: Task, cines: Sequence[int], batch_size: int, seed: int, clip: tuple[int, int] = (1, 1)
    ) -> None:
        self.task, self.cines, self.batch_size, self.seed, self.clip = task, list(cines), batch_size, seed, clip
        self.sectors = {cine: sector_mask(task.store, cine) for cine in self.cines}

    def __getitem__(self, step: int) -> LabelledClips:
        rng = np.random.default_rng((self.seed, step))
        keys = self.task.draw(self.cines, self.batch_size, rng)
        drawn = [self._clip(cine, frame, rng) for cine, frame in keys]
        clips = np.stack(
            [channels_first(self.task.store.read(cine, clip)) for (cine, _), clip in zip(keys, drawn, strict=True)]
        )
        for number, (cine, _) in enumerate(keys):
            if rng.random() < _WITHOUT_SCREEN:
                clips[number] *= self.sectors[cine]
        places = [int((clip == frame).argmax()) for (_, frame), clip in zip(keys, drawn, strict=True)]
        samples = step * self.batch_size + torch.arange(self.batch_size)
        return LabelledClips(keys, torch.from_numpy(clips), torch.tensor(places), samples)

    def _clip(self, cine: int, frame: int, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers of a clip that shows a frame, at a place drawn from those it may have in prediction."""
        frames, stride = self.clip
        if frames == 1:
            return np.array([frame])
        possible = windows_with(frame, int(self.task.store.frame_counts[cine]), frames, stride)
        return possible[rng.integers(len(possible))]


@torch.no_grad()
def settle_statistics(model: nn.Module, forward: Callable[[int], object], steps: int = 8) -> None:
    """Gives batch normalisation the mean statistics of some batches, for weights that have seen no data.

    At its fresh ones, mean 0 and variance 1, features of random weights all but vanish: a bar too low to compare with.

    Args:
        model: to be prepared.
        forward: runs the model on batch `step`.
        steps: number of batches.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    model.train()
    for step in range(steps):
        forward(step)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


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
    arguments = run.recipe().encoder
    if arguments != recipe.encoder:
        progress.say(
            f"takes the encoder of {path}, {arguments.name} at width {arguments.width:g}, "
            f"not the recipe's {recipe.encoder.name} at width {recipe.encoder.width:g}"
        )
    return arguments, run.load_weights("encoder")


def build_task(recipe: FinetuneRecipe, store: Store) -> Task:
    """The task of a recipe over a store."""
    return tasks.get(recipe.task.name)(recipe.task, store, recipe.data.clip.size)  # type: ignore[arg-type]


def build_model(recipe: FinetuneRecipe, task: Task, weights: Mapping[str, Tensor] | None) -> TaskModel:
    """A task's model; the head is fresh, the encoder has the weights given, or fresh ones.

    Weights for grey fit an encoder of RGB and the other way round (`fit_stem`).

    Raises:
        UsageError: the weights are of another encoder.
        RecipeError: the encoder sees clips, and those of the recipe have one frame.
    """
    arguments, channels = recipe.encoder, recipe.data.channels
    encoder = encoders.build(arguments.name, channels=channels, width=arguments.width, output_stride=task.output_stride)
    clip = clip_seen(encoder, arguments.name, recipe.data.clip)
    if weights is not None:
        try:
            encoder.load_state_dict(fit_stem(weights, encoder))
        except RuntimeError:
            raise UsageError(
                f"the weights of {recipe.start_from} are not of the encoder {arguments.name} at width {arguments.width}"
            ) from None
    return TaskModel(encoder, task.head(encoder), clip)


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

    def forward(batch: LabelledClips, step: int) -> dict[str, Tensor]:
        seeds = Seeds.for_samples(seed, 0, batch.samples)
        matrices = augmentation.matrices(seeds, task.store.size, task.size)
        targets = task.targets(batch.keys, matrices).to(device)
        outputs = model(augmentation.views(batch.clips.to(device), matrices, seeds, task.size), batch.places)
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
