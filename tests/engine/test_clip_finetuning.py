"""Clip encoders downstream: fine-tuned on clips, measured and predicted frame by frame, exported; and in colour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import usssl
from usssl.bundle import Bundle, stream
from usssl.data import resolve_source
from usssl.engine.evaluation import Trial, trial_recipe
from usssl.engine.finetuning import FrameBatches, build_model, build_task, load_model
from usssl.engine.run import Run
from usssl.errors import RecipeError, UsageError
from usssl.models.deployed import DeployedModel
from usssl.recipe import read_recipe

CLIP = {"frames": 8, "step": 2, "size": [48, 64]}


def recipe_of(planes_recipe: dict[str, Any], encoder: str, task: str = "planes", **data: Any) -> dict[str, Any]:
    return planes_recipe | {
        "data": planes_recipe["data"] | {"clip": CLIP} | data,
        "encoder": {"name": encoder, "width": 0.125},
        "task": {"name": task},
        "trainer": planes_recipe["trainer"] | {"epochs": 1, "clips_per_epoch": 8, "batch_size": 4},
    }


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory, source: Path, cache: Path) -> dict[str, Run]:
    """Runs of a clip encoder, one of each task."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = {
        "data": {"source": str(source)},
        "trainer": {"precision": "fp32", "device": "cpu"},
        "tracking": {"tensorboard": False},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USSSL_CACHE", str(cache))
        return {
            task: usssl.finetune(recipe_of(recipe, "r3d18", task), out=folder / task) for task in ("planes", "saliency")
        }


@pytest.fixture(scope="module")
def bundle(finetuned: dict[str, Run], tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USSSL_CACHE", str(cache))
        folder = usssl.export([run.path for run in finetuned.values()], tmp_path_factory.mktemp("export") / "bundle")
    return usssl.open_bundle(folder, device="cpu", threads=1)


def test_whole_cines_are_measured(finetuned: dict[str, Run]) -> None:
    planes, saliency = (json.loads((run.path / "test.json").read_text()) for run in finetuned.values())
    assert planes["cines"] == saliency["cines"] == 2
    assert np.sum(planes["details"]["confusion"]) == 2 * 20  # every second frame
    assert np.isfinite(saliency["metrics"]["kld"])


def test_clips_show_their_labelled_frame(planes_recipe: dict[str, Any]) -> None:
    recipe = read_recipe(recipe_of(planes_recipe, "r3d18"))
    store = resolve_source(recipe.data.source, size=recipe.data.stored_size)
    batches = FrameBatches(build_task(recipe, store), [0, 1, 2], 32, 0, clip=(8, 2))
    batch = batches[3]
    assert batch.clips.shape == (32, 8, 1, *store.size)
    assert len(set(batch.places.tolist())) > 4
    whole = 0
    for (cine, frame), clip, place in zip(batch.keys, batch.clips.numpy(), batch.places.tolist(), strict=True):
        expected = store.read(cine, frame + 2 * (np.arange(8) - place))
        shown = clip[:, 0]
        kept = expected * batches.sectors[cine]  # half of the clips have no screen
        assert np.array_equal(shown, expected) or np.array_equal(shown, kept)
        whole += np.array_equal(shown, expected)
    assert whole
    again = batches[3]
    assert again.keys == batch.keys
    assert torch.equal(again.clips, batch.clips)


def test_the_bundle_says_what_it_must_be_fed(bundle: Bundle) -> None:
    facts = bundle.metadata.usssl
    assert (facts.clip.frames, facts.clip.stride) == (8, 2)
    assert facts.task == ("planes", "saliency")
    assert facts.parity is not None
    assert set(facts.parity.batches) == {(1, 8), (2, 8)}
    assert max(facts.parity.max_relative_error.values()) < 1e-3
    assert "clips of 8 frames, 2 frames of the cine apart" in (bundle.path / "docs/README.md").read_text()
    assert bundle.metadata.network_data_format.inputs["frames"].channel_def == {"0": "grey"}


def test_a_bundle_predicts_what_the_model_gives(bundle: Bundle, finetuned: dict[str, Run], source: Path) -> None:
    """Of 16 frames there is one clip at each phase of the step, so that no row is a mean."""
    recipe = finetuned["planes"].recipe()
    store = resolve_source(recipe.data.source, size=recipe.data.stored_size)
    models = [load_model(run, store)[2] for run in finetuned.values()]
    deployed = DeployedModel(recipe.data.clip.size, [(model.encoder, model.head) for model in models])
    with usssl.open_cine(source / "cine4.mp4", color="grey") as cine:
        frames = np.asarray(cine[:16])
    found = bundle.predict(frames)
    clips = torch.from_numpy(np.stack([frames[::2], frames[1::2]]))
    with torch.inference_mode():
        truth = {name: value.numpy() for name, value in deployed(clips).items()}
    np.testing.assert_array_equal(truth["window"], np.repeat([found.window], 2, axis=0))
    for phase in (0, 1):
        for name in ("plane_probs", "saliency", "embedding"):
            np.testing.assert_allclose(getattr(found, name)[phase::2], truth[name][phase], atol=1e-4)


@pytest.mark.parametrize("frames", [40, 15, 3, 1])
def test_streamed_is_whole(bundle: Bundle, source: Path, monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    with usssl.open_cine(source / "cine4.mp4", color="grey") as opened:
        cine = np.asarray(opened[:frames])

    class Streamed:
        """A cine that is no array, so that it is read piece by piece."""

        shape, dtype = cine.shape, cine.dtype

        def __getitem__(self, key: slice) -> np.ndarray:
            return cine[key]

    whole = bundle.predict(cine, batch_frames=8 * 64)
    monkeypatch.setattr(stream, "HELD_BYTES", 0)
    streamed = bundle.predict(Streamed(), batch_frames=8)
    assert len(whole) == len(streamed) == frames
    assert whole.window == streamed.window
    for name in ("plane_probs", "saliency", "embedding"):
        np.testing.assert_allclose(getattr(streamed, name), getattr(whole, name), atol=1e-5)
    np.testing.assert_allclose(streamed.plane_probs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(streamed.saliency.sum(axis=(1, 2)), 1, atol=1e-4)


def test_a_folder_is_predicted(bundle: Bundle, source: Path, tmp_path: Path) -> None:
    report = usssl.bundle.predict_folder(bundle, [source / "cine4.mp4"], tmp_path / "out", stills=True)
    assert (report.cines, report.frames, report.failed) == (1, 40, 0)


def test_clips_of_one_frame_are_refused_before_there_is_a_run(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    recipe = recipe_of(planes_recipe, "r3d18", clip={**CLIP, "frames": 1})
    with pytest.raises(RecipeError, match="the encoder r3d18 sees clips"):
        usssl.finetune(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_encoders_weights_are_refused_before_there_is_a_run(
    tmp_path: Path, planes_recipe: dict[str, Any], finetuned: dict[str, Run]
) -> None:
    weights = finetuned["planes"].path / "encoder.safetensors"
    recipe = recipe_of(planes_recipe, "r2plus1d18") | {"start_from": str(weights)}
    with pytest.raises(UsageError, match="are not of the encoder r2plus1d18 at width 0"):
        usssl.finetune(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_runs_encoder_is_taken_and_said(
    planes_recipe: dict[str, Any], finetuned: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    from usssl.engine.finetuning import starting_point

    start = {"start_from": str(finetuned["planes"].path)}
    arguments, weights = starting_point(read_recipe(planes_recipe, start))
    assert (arguments.name, arguments.width) == ("r3d18", 0.125)
    assert weights is not None
    said = capsys.readouterr()
    assert "r3d18 at width 0.125, not the recipe's sononet16 at width 0.25" in said.out + said.err


def test_runs_that_do_not_fit_one_bundle(
    tmp_path: Path, planes_recipe: dict[str, Any], finetuned: dict[str, Run]
) -> None:
    shorter = recipe_of(planes_recipe, "r3d18", "saliency", clip={**CLIP, "frames": 4})
    short = usssl.finetune(shorter, out=tmp_path / "short")
    with pytest.raises(UsageError, match="clips of different lengths or steps"):
        usssl.export([finetuned["planes"].path, short.path], tmp_path / "bundle")
    colour = usssl.finetune(recipe_of(planes_recipe, "sononet16", "saliency", color="rgb"), out=tmp_path / "rgb")
    with pytest.raises(UsageError, match="different colours"):
        usssl.export([finetuned["planes"].path, colour.path], tmp_path / "bundle")


def test_grey_weights_start_an_encoder_of_colour(planes_recipe: dict[str, Any], finetuned: dict[str, Run]) -> None:
    recipe = read_recipe(recipe_of(planes_recipe, "r3d18", color="rgb"))
    store = resolve_source(recipe.data.source, size=recipe.data.stored_size, color="rgb")
    task = build_task(recipe, store)
    colour = build_model(recipe, task, finetuned["planes"].load_weights("encoder")).encoder.eval()
    grey = load_model(finetuned["planes"], store)[2].encoder
    clip = torch.randn(1, 8, 1, 48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(colour(clip.expand(-1, -1, 3, -1, -1)), grey(clip), atol=1e-4, rtol=1e-3)


def test_the_few_label_protocol_takes_a_pretrainings_data(pretrain_recipe: dict[str, Any]) -> None:
    content = pretrain_recipe | {"method": {"name": "cvrl"}}
    recipe = read_recipe(content, {"data.kind": "natural", "encoder.name": "r3d18"})
    found = trial_recipe(recipe, Trial("fewlabel", "planes", 2, "random", 0, "random"))  # type: ignore[arg-type]
    assert (found.data.color, found.data.clip, found.data.labelled_cines) == ("rgb", recipe.data.clip, 2)


@pytest.mark.slow
def test_a_bundle_of_colour_and_of_a_frame_encoder_beside_one_of_clips(
    tmp_path: Path, planes_recipe: dict[str, Any], source: Path
) -> None:
    planes = usssl.finetune(recipe_of(planes_recipe, "s3d", color="rgb"), out=tmp_path / "planes")
    saliency = usssl.finetune(recipe_of(planes_recipe, "sononet16", "saliency", color="rgb"), out=tmp_path / "saliency")
    bundle = usssl.open_bundle(usssl.export([planes.path, saliency.path], tmp_path / "bundle"), device="cpu", threads=1)
    frames = bundle.metadata.network_data_format.inputs["frames"]
    assert (frames.num_channels, frames.channel_def) == (3, {"0": "red", "1": "green", "2": "blue"})
    assert bundle.session.colour
    assert bundle.metadata.usssl.clip.frames == 8
    with usssl.open_cine(source / "cine4.mp4", color="rgb") as cine:
        colour = bundle.predict(cine)
        luma = np.asarray(cine[:])[..., 1]
    assert colour.plane_probs.shape == (40, 3)
    grey = bundle.predict(luma)  # repeated three times
    repeated = bundle.predict(np.repeat(luma[..., None], 3, axis=3))
    np.testing.assert_array_equal(grey.plane_probs, repeated.plane_probs)
    report = usssl.bundle.predict_folder(bundle, [source / "cine4.mp4"], tmp_path / "out", stills=True, video=True)
    assert (report.frames, report.failed) == (40, 0)


@pytest.mark.slow
def test_a_clip_encoder_learns_planes(tmp_path: Path, planes_recipe: dict[str, Any]) -> None:
    recipe = recipe_of(planes_recipe, "r3d18", clip={"frames": 16, "step": 1, "size": [48, 64]})
    longer = {
        "trainer.epochs": 8,
        "trainer.clips_per_epoch": 48,
        "trainer.batch_size": 8,
        "optimizer.name": "adamw",
        "optimizer.lr": 2e-3,
    }
    run = usssl.finetune(recipe, longer, out=tmp_path / "run")
    assert json.loads((run.path / "test.json").read_text())["metrics"]["macro_f1"] > 0.7
