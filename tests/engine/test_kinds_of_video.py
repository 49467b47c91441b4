"""Ultrasound and natural video differ by `data:` alone: every small recipe takes steps on either."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

import usssl
from tests.cines import FPS, shape_frames
from usssl.cine import write_video
from usssl.data import index_folders, prepare, read_catalog, resolve_source
from usssl.engine.augment_sheet import draw_samples
from usssl.engine.batches import within_original
from usssl.engine.pretraining import build_method, open_data
from usssl.engine.run import Run
from usssl.errors import UsageError
from usssl.recipe import PretrainRecipe, dump_recipe, read_recipe

SMALL = sorted((Path(__file__).resolve().parents[2] / "recipes" / "small").glob("*.yaml"))
SHORT = {
    "trainer.epochs": 1,
    "trainer.clips_per_epoch": 6,
    "trainer.batch_size": 2,
    "trainer.device": "cpu",
    "trainer.precision": "fp32",
    "tracking.tensorboard": False,
}


@pytest.fixture(scope="module")
def natural(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real colour videos of people."""
    clips = sorted((test_data / "natural_gestures" / "clips").glob("*.mkv"))[:3]
    if len(clips) < 3:
        pytest.skip(f"no natural video in {test_data / 'natural_gestures'}")
    folder = tmp_path_factory.mktemp("natural")
    for clip in clips:
        shutil.copyfile(clip, folder / clip.name)
    with (folder / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([["file", "split"], *([clip.name, "train"] for clip in clips)])
    return folder


@pytest.fixture(scope="module")
def ultrasound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cines to train on, with a name burned in beside the sector."""
    folder = tmp_path_factory.mktemp("ultrasound")
    for number in range(3):
        frames, _, _ = shape_frames(number, 30)
        for frame in frames:
            cv2.putText(frame, "DOE", (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)
        write_video(folder / f"cine{number}.mp4", frames, FPS)
    (folder / "labels.csv").write_text("file,split\n" + "".join(f"cine{n}.mp4,train\n" for n in range(3)))
    return folder


def tiny(path: Path, source: Path, kind: str, **overrides: object) -> PretrainRecipe:
    data = {"data.source": str(source), "data.kind": kind, "data.clip.size": [32, 40], "data.clip.frames": 4}
    recipe = read_recipe(path, {**data, **overrides})
    assert isinstance(recipe, PretrainRecipe)
    return recipe


@pytest.mark.parametrize("kind", ["ultrasound", "natural"])
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_every_small_recipe_trains_on_both_kinds(
    request: pytest.FixtureRequest, tmp_path: Path, path: Path, kind: str
) -> None:
    run = usssl.pretrain(tiny(path, request.getfixturevalue(kind), kind, **SHORT), out=tmp_path / "run")
    lines = [line for line in run.metrics() if "loss" in line]
    assert lines[-1]["step"] == 3
    assert all(np.isfinite(line["loss"]) for line in lines)
    stem = next(weight for weight in run.load_weights("encoder").values() if weight.ndim >= 4)
    assert stem.shape[1] == (3 if kind == "natural" else 1)
    kept = run.recipe()
    assert isinstance(kept, PretrainRecipe)
    assert (kept.data.color, kept.data.mask) == (("rgb", False) if kind == "natural" else ("grey", True))
    assert read_recipe(yaml.safe_load(dump_recipe(kept))) == kept


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_the_kind_alone_changes_ranges_colour_and_mask(path: Path) -> None:
    ours, theirs = (tiny(path, Path("x"), kind).model_dump() for kind in ("ultrasound", "natural"))
    differing = {key for key in ours if ours[key] != theirs[key]}
    if path.stem == "order_transform":
        assert differing == {"data"}
        return
    assert differing == {"data", "method", "augment"}
    assert {key for key in ours["method"] if ours["method"][key] != theirs["method"][key]} == {"ultrasound"}
    assert (ours["augment"]["ultrasound"], theirs["augment"]["ultrasound"]) == (True, False)


def test_views_keep_their_colours(natural: Path) -> None:
    recipe = tiny(SMALL[[path.stem for path in SMALL].index("vtdl")], natural, "natural")
    (strip, *_), _ = draw_samples(recipe, cines=1, shown=3)
    assert len(strip.views) == 3
    for view in strip.views:
        assert np.abs(view[..., 0].astype(int) - view[..., 2]).mean() > 1, "grey"


def test_a_switch_that_is_given_does_not_follow() -> None:
    path, source = SMALL[[path.stem for path in SMALL].index("cvrl")], Path("x")
    assert tiny(path, source, "natural", **{"method.ultrasound": True}).model_dump()["method"]["ultrasound"] is True
    grey = tiny(path, source, "natural", **{"data.color": "grey", "data.mask": True})
    assert (grey.data.channels, grey.data.mask) == (1, True)
    auto = tiny(path, source, "natural", **{"data.color": "auto", "data.mask": "auto", "method.ultrasound": "auto"})
    assert auto == tiny(path, source, "natural")
    block = tiny(path, source, "natural", **{"augment.ultrasound": True})
    assert block.model_dump()["method"]["ultrasound"] is True
    views = [{"ops": [{"name": "resize", "size": [32, 40]}]}] * 2
    by_ops = tiny(path, source, "natural", augment={"views": views})
    assert read_recipe(yaml.safe_load(dump_recipe(by_ops))) == by_ops


def test_what_is_burned_in_is_masked_where_the_recipe_says_so(ultrasound: Path) -> None:
    masked = open_data(tiny(SMALL[0], ultrasound, "ultrasound"))
    whole = open_data(tiny(SMALL[0], ultrasound, "ultrasound", **{"data.mask": False}))
    assert (masked.mask, whole.mask) == (True, False)
    corner = np.s_[:, :10, :14]
    for cine in range(3):
        assert whole.frames(cine)[corner].max() > 100
        assert masked.frames(cine)[corner].max() == 0
        assert masked.frames(cine).mean() > 0.8 * whole.frames(cine).mean(), "the image itself stays"


def test_a_named_store_with_another_mask_is_refused(ultrasound: Path, tmp_path: Path) -> None:
    index_folders([ultrasound], tmp_path / "catalog.parquet", workers=0)
    table = read_catalog(tmp_path / "catalog.parquet").slice(0, 2)
    for held in (True, False):
        path = tmp_path / f"store {held}"
        prepare(table, path, size=(32, 40), mask=held, workers=0)
        assert resolve_source(path, size=(32, 40), mask=held).mask is held
        assert resolve_source(path, size=(32, 40)).mask is held, "not asked for: as it is"
        with pytest.raises(UsageError, match=f"was prepared with(out)? --mask: .*data.mask={str(held).lower()}"):
            resolve_source(path, size=(32, 40), mask=not held)


def test_a_run_of_before_masks_is_read_as_it_was(ultrasound: Path, tmp_path: Path) -> None:
    recipe = tiny(SMALL[0], ultrasound, "ultrasound")
    content = yaml.safe_load(dump_recipe(recipe))
    for key in ("kind", "color", "mask"):
        del content["data"][key]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    old = Run.open(tmp_path).recipe()
    assert isinstance(old, PretrainRecipe)
    assert (old.data.kind, old.data.color, old.data.mask) == ("ultrasound", "grey", False)
    with torch.device("meta"):
        assert build_method(old).encoder.state_dict().keys() == build_method(recipe).encoder.state_dict().keys()


def test_what_lies_outside_the_original_frame_is_no_image() -> None:
    inside = within_original(np.array([0.0, -0.5, 1.0, 1.5]), (8, 4))
    assert inside.all(axis=1).tolist() == [False, False, True, True, True, True, False, False]
    assert within_original(np.array([0.1, 0.2, 0.9, 0.8]), (3, 5)).all()
