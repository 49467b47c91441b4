"""The typed recipes: one YAML file, validated as a whole before anything runs. Nothing in a recipe is executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, model_validator

from usssl.arguments import (
    Arguments,
    ClipArguments,
    Fraction,
    NamedArguments,
    NonNegative,
    Positive,
    VideoKind,
)
from usssl.augment import AugmentArguments
from usssl.errors import RecipeError, UsageError
from usssl.schedule import ScheduleArguments


class DataArguments(Arguments):
    """Where the cines come from.

    Attributes:
        source: `samples:<kind>[:<number of cines>]`, a folder or a list of folders, a catalogue (.parquet), or a
            prepared store.
        clip: the clip that a method or task sees.
        margin: the store keeps frames at `margin` times the clip size, room for crops.
        color: `grey` or `rgb`, of the frames that the model sees.
        labelled_cines: fine-tuning only: number of labelled training cines; all where None.
    """

    source: str | tuple[str, ...]
    clip: ClipArguments = ClipArguments()
    margin: Annotated[float, Field(ge=1, le=4)] = 1.5
    color: Literal["grey", "rgb"] = "grey"
    labelled_cines: Positive | None = None

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width of stored frames: the clip's, times the margin, rounded to even pixels."""
        height, width = self.clip.size
        return 2 * round(height * self.margin / 2), 2 * round(width * self.margin / 2)

    @property
    def channels(self) -> int:
        """Of a frame: 1 (grey) or 3 (RGB)."""
        return 1 if self.color == "grey" else 3


class PretrainData(DataArguments):
    """Where the cines of a pretraining come from, and what they show.

    `color` and `mask` follow `kind` where they are left out or `auto`. Fine-tuning has neither `kind` nor `mask`: a
    bundle is given frames as they are, with all that a scanner draws on them, so that is what its model is trained on.

    Attributes:
        kind: ultrasound, or natural video. A method's ranges of augmentation follow it, too.
        color: `grey` or `rgb`; `auto`: grey for ultrasound, RGB for natural video.
        mask: blacken what is not ultrasound, such as burned-in text, traces and colour overlays, and all outside the
            sector, so that no method learns from it; `auto`: for ultrasound.
    """

    kind: VideoKind = "ultrasound"
    mask: bool = True

    @model_validator(mode="before")
    @classmethod
    def _follow_kind(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        natural = values.get("kind") == "natural"
        left_out = {"color": "rgb" if natural else "grey", "mask": not natural}
        return {
            **values,
            **{key: value for key, value in left_out.items() if values.get(key, "auto") in (None, "auto")},
        }


class EncoderArguments(Arguments):
    """The encoder, by its name in `usssl.models.encoders`."""

    name: str = "sononet16"
    width: Annotated[float, Field(gt=0, le=8)] = 1.0


class OptimizerArguments(Arguments):
    """The optimiser: SGD or AdamW.

    Attributes:
        name: which.
        lr: the learning rate.
        lr_batch: the batch size that `lr` is meant for: at another `trainer.batch_size` it is scaled in proportion;
            where None, `lr` is taken as it is.
        momentum: of SGD.
        weight_decay: of all weights but biases and normalisation.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01
    lr_batch: Positive | None = None
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 1e-4


class TrainerArguments(Arguments):
    """The loop. `auto` values are resolved before the run and saved with it.

    Attributes:
        epochs: number of epochs.
        clips_per_epoch: clips drawn in an epoch; `auto`: 4 a training cine.
        batch_size: clips a step.
        workers: loader processes; `auto`: 0 on a CPU (the prepared store needs none), 2 with a GPU.
        precision: `auto`: bf16 where the device has fast bf16, else fp32.
        device: `auto`: cuda where there is one, else cpu.
        checkpoint_minutes: the longest time between two checkpoints.
    """

    epochs: Positive = 20
    clips_per_epoch: Positive | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=2)] = 16
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0


class TrackingArguments(Arguments):
    """Where metrics go besides `metrics.jsonl`."""

    tensorboard: bool = True


class Recipe(Arguments):
    """What a pretraining and a fine-tuning recipe share."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataArguments
    encoder: EncoderArguments = EncoderArguments()
    optimizer: OptimizerArguments = OptimizerArguments()
    schedule: ScheduleArguments = ScheduleArguments()
    trainer: TrainerArguments = TrainerArguments()
    tracking: TrackingArguments = TrackingArguments()


class PretrainRecipe(Recipe):
    """A recipe with `method:`; the block's remaining keys are the method's own arguments.

    `augment:` changes how views are made: switches of the method's own augmentation, another preset, or op by op. It is
    written out whole where the method has a preset.
    """

    data: PretrainData
    method: SerializeAsAny[NamedArguments]
    augment: AugmentArguments | None = None


class FinetuneRecipe(Recipe):
    """A recipe with `task:` and `start_from:`.

    Attributes:
        task: the task and its arguments.
        start_from: `random`, a run folder or a `.safetensors` file.
        keep: which weights the run keeps: those after the epoch that did `best` on the labelled validation cines, by
            the task's own measure, or the `last`; the last, too, where no validation cine has labels.
        validation_cines: the most validation cines that are measured after an epoch.
        train: `all` weights, or the `head` alone, on features of the encoder as it started.
    """

    task: SerializeAsAny[NamedArguments]
    start_from: str = "random"
    keep: Literal["best", "last"] = "best"
    validation_cines: Positive = 16
    train: Literal["all", "head"] = "all"


def read_recipe(
    recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Mapping[str, Any] | Iterable[str] = ()
) -> PretrainRecipe | FinetuneRecipe:
    """Reads and validates a recipe.

    Args:
        recipe: a YAML file, its content as a mapping, or a recipe.
        overrides: `{"optimizer.lr": 0.01}` or `["optimizer.lr=0.01"]`; reaches any key of the recipe.

    Raises:
        RecipeError: anything wrong, in one sentence that names the key and, for an unknown key, the nearest.
    """
    where = str(recipe) if isinstance(recipe, str | Path) else "the recipe"
    content = _content(recipe)
    for key, value in _pairs(overrides):
        _set(content, key, value)
    if ("method" in content) == ("task" in content):
        raise RecipeError(f"{where}: a recipe has either `method:` (pretraining) or `task:` (fine-tuning)")
    kind, block = (PretrainRecipe, "method") if "method" in content else (FinetuneRecipe, "task")
    arguments = _block_arguments(block, content, where)
    try:
        typed = arguments.model_validate(content[block])
    except ValidationError as error:
        raise RecipeError(f"{where}: {_sentence(error, _known_keys(arguments, f'{block}.'), f'{block}.')}") from None
    try:
        typed_recipe = kind.model_validate(content | {block: typed} | ({"augment": None} if block == "method" else {}))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_sentence(error, _known_keys(kind))}") from None
    if isinstance(typed_recipe, PretrainRecipe):
        try:
            typed.check(typed_recipe.data.clip)
        except ValueError as error:
            raise RecipeError(f"{where}: {error}") from None
        _check_encoder(typed_recipe, where)
        return _with_augment(typed_recipe, content.get("augment"), content["method"], where)
    return typed_recipe


def read_saved_recipe(path: Path) -> PretrainRecipe | FinetuneRecipe:
    """Reads the recipe that a run has saved, all defaults written out.

    A key that is not there is younger than the run: its frames were not masked, as recipes said nothing of masks.
    """
    content = _content(path)
    older = "method" in content and "mask" not in (content.get("data") or {})
    return read_recipe(path, {"data.mask": False} if older else ())


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _content(recipe: str | Path | Mapping[str, Any] | Recipe) -> dict[str, Any]:
    if isinstance(recipe, Recipe):
        return recipe.model_dump(mode="json")
    if isinstance(recipe, Mapping):
        return _copy(recipe)
    path = Path(recipe)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no recipe at {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from None
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that also refuses double keys
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path} is not a recipe: it should hold keys such as `data:` and `method:`")
    return content


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands there twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _check_encoder(recipe: PretrainRecipe, where: str) -> None:
    """Refuses an encoder of clips where the method wants one of frames; no weights are drawn to see which it is."""
    import torch

    from usssl import methods
    from usssl.models import encoders
    from usssl.models.per_frame import check_alone

    name, method = recipe.encoder.name, recipe.method.name
    if not methods.get(method).frames_alone:
        return
    try:
        with torch.device("meta"):
            encoder = encoders.build(name, width=recipe.encoder.width)
        check_alone(encoder, name, method)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _with_augment(recipe: PretrainRecipe, block: Any, given: Mapping[str, Any], where: str) -> PretrainRecipe:
    """The recipe with its `augment:` block filled in from the method and checked against the clips."""
    from usssl import methods
    from usssl.methods import augment_block

    assert isinstance(recipe.method, methods.MethodArguments)
    method, kind = methods.get(recipe.method.name), recipe.data.kind
    followed = recipe.method.following(kind)
    if method.preset is None:
        if block is not None:
            raise RecipeError(f"{where}: augment: {recipe.method.name} makes its views by keys of `method:` alone")
        return recipe.model_copy(update={"method": followed})
    if not isinstance(block, Mapping | None):
        raise RecipeError(f"{where}: augment: give a block of keys, such as consistent: false (it is {block!r})")
    try:
        augment, arguments = augment_block.fill_in(method, block or {}, followed, given, kind)
        augment_block.check(method, augment, recipe.data.clip, recipe.data.stored_size)
    except ValidationError as error:
        sentence = _sentence(error, _known_keys(AugmentArguments, "augment."), "augment.")
        raise RecipeError(f"{where}: {sentence}") from None
    except ValueError as error:
        raise RecipeError(f"{where}: augment.{error}") from None
    return recipe.model_copy(update={"augment": augment, "method": arguments})


def _copy(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in mapping.items()}


def _pairs(overrides: Mapping[str, Any] | Iterable[str]) -> list[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    pairs = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{text!r} is not an override; write KEY=VALUE, such as optimizer.lr=0.01")
        try:
            pairs.append((key, yaml.load(value, Loader=_StrictLoader)))  # noqa: S506 - a SafeLoader
        except yaml.YAMLError:
            raise UsageError(f"the value of {key} is not valid YAML: {value!r}") from None
    return pairs


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    *blocks, last = key.split(".")
    for block in blocks:
        inner = content.setdefault(block, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{key}: {block!r} is not a block of keys")
        content = inner
    content[last] = value


def _sentence(error: ValidationError, known: list[str], prefix: str = "") -> str:
    first = error.errors(include_url=False)[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(key, known)}"
    if first["type"] == "union_tag_invalid":
        names = first["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"{key}: there is no {first['ctx']['tag']!r}{_nearest(first['ctx']['tag'], names)}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # of a block as a whole; the sentence begins with the key
        return prefix + message
    return f"{key}: {message[0].lower()}{message[1:]} (it is {first['input']!r})"


def _nearest(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if not close:  # the right key may stand in another block
        last = word.rpartition(".")[2]
        close = [k for k in known if k.rpartition(".")[2] == last][:1]
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(sorted(known))}"


def _known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += _known_keys(inner, f"{prefix}{name}.")
    return keys


def _block_arguments(block: str, content: Mapping[str, Any], where: str) -> Any:
    from usssl import methods, tasks

    room: Any = methods if block == "method" else tasks
    name = content[block].get("name") if isinstance(content[block], Mapping) else None
    if name is None:
        raise RecipeError(f"{where}: `{block}:` needs a name, one of: {', '.join(room.names())}")
    if name not in room.names():
        raise RecipeError(f"{where}: unknown {block} {name!r}{_nearest(str(name), room.names())}")
    try:
        return room.get(name).Arguments
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error
