"""Export: fine-tuned runs in, one bundle out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine import open_cine
from usssl.cine.clip_windows import clip_windows
from usssl.data import Store
from usssl.engine.finetuning import TaskModel, load_model
from usssl.engine.model_card import CardFacts, CardMetric
from usssl.engine.onnx_export import export_model
from usssl.engine.pretraining import open_data, split_cines
from usssl.engine.run import Run
from usssl.errors import UsageError
from usssl.models.deployed import DeployedModel
from usssl.recipe import FinetuneRecipe
from usssl.tasks.base import Task

_EXAMPLE_CINES = 3
_EXAMPLE_FRAMES = 12


def export(runs: str | Path | Sequence[str | Path], out: str | Path) -> Path:
    """Exports fine-tuned models as one bundle, after comparing ONNX Runtime with PyTorch on real frames.

    A bundle of clip encoders takes clips as its runs did; a frame encoder beside them sees each frame of the clip.

    Args:
        runs: a finished fine-tuning run, or one of each of several tasks.
        out: the bundle folder to write.

    Returns:
        `out`.

    Raises:
        UsageError: a run is not a finished fine-tuning run, or the runs do not fit together.
        BundleError: the exported model differs from PyTorch's.
    """
    paths = [runs] if isinstance(runs, str | Path) else list(runs)
    opened = [Run.open(path) for path in paths]
    recipes = [_finetuned(run) for run in opened]
    if len({recipe.task.name for recipe in recipes}) < len(recipes):
        raise UsageError("a bundle takes one run of each task; two of these runs have the same task")
    if len({recipe.data.clip.size for recipe in recipes}) > 1:
        raise UsageError("these runs see frames of different sizes (data.clip.size); a bundle has one input size")
    if len({recipe.data.color for recipe in recipes}) > 1:
        raise UsageError("these runs see different colours (data.color); a bundle takes grey frames or RGB ones")
    store = open_data(recipes[0])
    loaded = [load_model(run, store) for run in opened]
    clip_frames, clip_stride = _clip([model for _, _, model in loaded])
    model = DeployedModel(recipes[0].data.clip.size, [_part(model) for _, _, model in loaded])
    classes = next((tuple(task.classes) for _, task, _ in loaded if task.classes), ())
    return export_model(
        model,
        out,
        task=[recipe.task.name for recipe in recipes],
        classes=classes,
        size=recipes[0].data.clip.size,
        example_frames=example_frames(store, clip_frames, clip_stride),
        card=_card(opened, recipes, [task for _, task, _ in loaded], store),
        clip_frames=clip_frames,
        clip_stride=clip_stride,
    )


def example_frames(store: Store, clip: int = 1, stride: int = 1) -> list[np.ndarray]:
    """Frames of some cines as their files hold them: test cines where there are any.

    Args:
        store: what a model was trained on.
        clip: frames that the model takes at once; above 1, two clips of each cine are read, one after the other.
        stride: step between a clip's frames.

    Returns:
        uint8 `(T, H, W)`, or `(T, H, W, 3)` for a store in colour.
    """
    chosen = split_cines(store, "test") or list(range(len(store)))
    frames = []
    for cine in chosen[:_EXAMPLE_CINES]:
        with open_cine(source_file(store, cine), color="rgb" if store.color == "rgb" else "grey") as opened:
            numbers = np.unique(np.linspace(0, len(opened) - 1, _EXAMPLE_FRAMES).astype(int))
            if clip > 1:
                windows = clip_windows(len(opened), clip, stride)
                numbers = windows[[0, len(windows) // 2]].ravel()
            frames.append(opened.read(numbers))
    return frames


def source_file(store: Store, cine: int) -> Path:
    """The file that a cine of the store was prepared from."""
    return Path(store.table["folder"][cine].as_py()) / store.table["path"][cine].as_py()


def _finetuned(run: Run) -> FinetuneRecipe:
    recipe = run.recipe()
    if not isinstance(recipe, FinetuneRecipe):
        raise UsageError(f"{run.path} is a pretraining run; fine-tune it on a task before exporting (usssl finetune)")
    return recipe


def _clip(models: Sequence[TaskModel]) -> tuple[int, int]:
    """The clip that a bundle of these models takes, as frames and stride; (1, 1) if all are frame models."""
    clips = {model.clip for model in models if model.clip[0] > 1}
    if len(clips) > 1:
        raise UsageError(
            "these runs see clips of different lengths or steps (data.clip.frames, data.clip.step); "
            "a bundle has one clip"
        )
    return clips.pop() if clips else (1, 1)


def _part(model: TaskModel) -> Any:
    return model.encoder, model.head


def _card(runs: Sequence[Run], recipes: Sequence[FinetuneRecipe], tasks: Sequence[Task], store: Store) -> CardFacts:
    names = [recipe.task.name for recipe in recipes]
    metrics: list[CardMetric] = []
    for run, name in zip(runs, names, strict=True):
        path = run.path / "test.json"
        if path.is_file():
            result = json.loads(path.read_text())
            where = f"{result['cines']} test cines, {name}"
            metrics += [CardMetric(key, value, on=where) for key, value in result["metrics"].items()]
    labelled = {name: len(split_cines(store, "train")) for name in names}
    budgets = [recipe.data.labelled_cines or labelled[recipe.task.name] for recipe in recipes]
    source = recipes[0].data.source
    synthetic = isinstance(source, str) and source.startswith("samples:")
    return CardFacts(
        name=f"usssl {' and '.join(names)}",
        task=f"For each frame of an ultrasound cine: {', '.join(names)}.",
        description=(
            f"A {recipes[0].encoder.name} at width {recipes[0].encoder.width} for each task, fine-tuned from "
            f"{', '.join('random weights' if r.start_from == 'random' else 'a pretrained encoder' for r in recipes)}."
        ),
        data=(
            f"{source if synthetic else 'Own cines'}: {len(store)} cines, split by patient; "
            f"{', '.join(f'{b} labelled training cines for {n}' for b, n in zip(budgets, names, strict=True))}."
        ),
        method="Fine-tuned with usssl; the resolved recipes lie in the runs.",
        metrics=tuple(metrics),
        limits=(
            "Measured on the test cines named above and on nothing else; other scanners, presets and populations "
            "were not tested.",
            "Trained on synthetic phantoms: not for real anatomy."
            if synthetic
            else "Check it on your own cines before relying on any output.",
        ),
    )
