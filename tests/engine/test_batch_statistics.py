"""A run says in how many groups it takes batch statistics where they are not those that the recipe asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

import usssl
from tests.methods.ranks import on_two_ranks
from usssl.engine.run import Run
from usssl.models import encoders
from usssl.models.encoders import FrameEncoder

METHODS: dict[str, dict[str, Any]] = {
    "vtdl": {"name": "vtdl", "queue": 16, "dim": 8, "bn_groups": 4},
    "cep": {"name": "cep", "queue": 16, "dim": 8, "hidden": 16, "bn_groups": 4},
    "cate": {"name": "cate", "queue": 16, "dim": 8, "width": 16, "layers": 1, "heads": 2, "bn_groups": 4},
    "cate with a queue": {"name": "cate", "negatives": "queue", "queue": 16, "dim": 8, "bn_groups": 4},
    "cvrl": {"name": "cvrl", "hidden": 16, "dim": 8},
}
OF_QUEUES = ("vtdl", "cep", "cate with a queue")


def recipe_of(name: str, batch: int, source: Path, encoder: str = "sononet16") -> dict[str, Any]:
    """One step of a batch."""
    return {
        "data": {"source": str(source), "clip": {"frames": 2, "step": 1, "size": [32, 32]}},
        "encoder": {"name": encoder, "width": 0.125},
        "method": METHODS[name],
        "trainer": {
            "epochs": 1,
            "clips_per_epoch": batch,
            "batch_size": batch,
            "precision": "fp32",
            "device": "cpu",
            "workers": 0,
        },
        "tracking": {"tensorboard": False},
    }


def said(run: Run) -> list[str]:
    """What the log says of batch statistics."""
    lines = (run.path / "log.txt").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines if "batch statistics" in line]


@pytest.mark.parametrize(("batch", "groups"), [(8, None), (6, 2), (7, 1)])
@pytest.mark.parametrize("name", OF_QUEUES)
def test_methods_with_a_queue_say_it(
    name: str, batch: int, groups: int | None, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(usssl.pretrain(recipe_of(name, batch, source), out=tmp_path / "run"))
    console = [line for line in capsys.readouterr().err.splitlines() if "batch statistics" in line]
    assert console == found
    if groups is None:
        assert not found
        return
    (sentence,) = found
    start = "warning: batch statistics in 1 group" if groups == 1 else f"batch statistics in {groups} groups"
    assert sentence.startswith(f"{start} instead of 4")
    assert f"a batch of {batch}" in sentence
    assert sentence.endswith("make trainer.batch_size 8") == (groups == 1)


@pytest.mark.parametrize("name", ["cate", "cvrl"])
def test_methods_whose_statistics_are_of_the_whole_batch_do_not(name: str, source: Path, tmp_path: Path) -> None:
    assert not said(usssl.pretrain(recipe_of(name, 7, source), out=tmp_path / "run"))


def test_without_batch_normalisation_there_is_nothing_to_say(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(FrameEncoder):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.dim, self.stride = 8, 16
            self.conv = nn.Conv2d(channels, 8, 16, stride=16)

        def stages(self) -> list[list[nn.Module]]:
            return [[self.conv]]

    monkeypatch.setitem(encoders._BUILDERS, "plain", lambda channels, width: Plain(channels))
    assert not said(usssl.pretrain(recipe_of("vtdl", 7, source, "plain"), out=tmp_path / "run"))


def pretrain(recipe: dict[str, Any], out: Path) -> None:
    usssl.pretrain(recipe, out=out)


@pytest.mark.slow  # two processes import everything anew
def test_two_ranks_say_it_once_and_of_the_batch_of_both(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    on_two_ranks(pretrain, recipe_of("vtdl", 6, source), tmp_path / "run")
    (sentence,) = said(Run.open(tmp_path / "run"))
    assert sentence.startswith("batch statistics in 2 groups instead of 4: a batch of 6 on 2 ranks")
    assert capfd.readouterr().err.count(sentence) == 1
