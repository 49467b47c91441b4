"""An encoder of another package: known by its entry point, imported where it is first used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.cines import make_cine_folder
from tests.packages import installed
from usssl.cli import main
from usssl.errors import RecipeError
from usssl.models import encoders

GROUP = "usssl.encoders"
CODE = """
import torch
from torch import nn

from usssl.models.encoders import FrameEncoder, register

SHIFT = torch.tensor([0.5])


class Mine(FrameEncoder):
    def __init__(self, channels, dim):
        super().__init__()
        self.dim, self.stride = dim, 16
        self.conv = nn.Conv2d(channels, dim, 16, stride=16)
        self.norm = nn.BatchNorm2d(dim)

    def stages(self):
        return [[self.conv, self.norm]]


{decorator}def my_encoder(channels, width, output_stride=16):
    return Mine(channels, round(16 * width))


def one_stride(channels, width):
    return Mine(channels, round(16 * width))


def wrong(channels, width):
    return nn.Conv2d(channels, 8, 3)


def no_builder(size):
    return Mine(1, size)
"""
MODULES = {"my_nets.nets": CODE.format(decorator=""), "my_nets.broken": "raise RuntimeError('no\\nlicence')\n"}


@pytest.fixture(autouse=True)
def _builders_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders.names()  # the own ones are registered once, when their modules are imported
    monkeypatch.setattr(encoders, "_BUILDERS", dict(encoders._BUILDERS))


@pytest.fixture
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Installs a package of one encoder, `my_encoder`, that may register itself as well."""
    modules = {"my_nets.nets": CODE.format(decorator=getattr(request, "param", ""))}
    with installed(tmp_path / "site", GROUP, {"my_encoder": "my_nets.nets:my_encoder"}, modules, name="my-nets"):
        yield


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("package", ["", '@register("my_encoder")\n'], indirect=True)
def test_it_is_listed_without_an_import_and_built_by_its_name() -> None:
    assert "my_encoder" in encoders.names()
    assert encoders.build("sononet16", width=0.25).dim == 32
    assert "my_nets" not in sys.modules
    encoder = encoders.build("my_encoder", channels=3, width=0.5, output_stride=16)
    assert encoder.features(torch.zeros(2, 4, 3, 32, 48)).shape == (2, 4, 8, 2, 3)
    assert encoders.names().count("my_encoder") == 1


@pytest.mark.usefixtures("package")
def test_looking_at_it_on_the_meta_device_leaves_its_constants_alone() -> None:
    with torch.device("meta"):
        encoder = encoders.build("my_encoder")
    assert next(encoder.parameters()).device.type == "meta"
    assert sys.modules["my_nets.nets"].SHIFT.device.type == "cpu"


@pytest.mark.usefixtures("package")
def test_a_recipe_trains_it_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSSL_CACHE", str(tmp_path / "cache"))
    recipe = {
        "data": {"source": str(make_cine_folder(tmp_path / "source", cines=5)), "clip": {"size": [32, 48]}},
        "encoder": {"name": "my_encoder"},
        "method": {"name": "order_transform", "hidden": 16},
        "trainer": {"epochs": 1, "clips_per_epoch": 8, "batch_size": 4, "device": "cpu"},
        "tracking": {"tensorboard": False},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(SystemExit) as stopped:
        main(["pretrain", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run")])
    assert stopped.value.code == 0
    assert (tmp_path / "run" / "encoder.safetensors").is_file()


def test_an_argument_that_its_builder_does_not_take_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("USSSL_CACHE", str(tmp_path / "cache"))
    recipe = {
        "data": {"source": str(make_cine_folder(tmp_path / "source", cines=5)), "clip": {"size": [32, 48]}},
        "encoder": {"name": "strided"},
        "task": {"name": "planes"},
        "start_from": "random",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with installed(tmp_path / "site", GROUP, {"strided": "my_nets.nets:one_stride"}, MODULES, name="my-nets"):
        assert encoders.build("strided").dim == 16
        encoders.register("registered")(lambda channels, width: encoders.build("resnet18", channels, width))
        for name in ("strided", "registered"):
            with pytest.raises(RecipeError, match=rf"encoder '{name}' takes no output_stride, which"):
                encoders.build(name, output_stride=16)
        with pytest.raises(SystemExit) as stopped:
            main(["finetune", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run")])
    assert stopped.value.code == 2
    assert (
        "usssl: the builder of the encoder 'strided' takes no output_stride" in capsys.readouterr().err.splitlines()[-1]
    )
    assert not (tmp_path / "run").exists()


def test_a_builder_that_passes_its_arguments_on_is_given_them() -> None:
    encoders.register("passed_on")(lambda **arguments: encoders.build("resnet18", **arguments))
    assert encoders.build("passed_on", width=0.25, output_stride=8).stride == 8


def test_without_its_package_it_is_unknown() -> None:
    with pytest.raises(RecipeError, match=r"unknown encoder 'my_encoder'; known are: i3d, "):
        encoders.build("my_encoder")


FAULTS = {
    "import": ("my_nets.broken:Net", "cannot be imported (RuntimeError: no licence)"),
    "attribute": ("my_nets.nets:missing", "cannot be imported (AttributeError: "),
    "module": ("my_nets.nets", "builds nothing of channels and width (<module 'my_nets.nets' from "),
    "arguments": ("my_nets.nets:no_builder", "builds nothing of channels and width ("),
    "result": ("my_nets.nets:wrong", "makes a Conv2d, which is no Encoder"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["order_transform", "cvrl"])
def test_a_faulty_encoder_is_refused_in_one_sentence(
    fault: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, cause = FAULTS[fault]
    recipe: dict[str, Any] = {"data": {"source": "x"}, "encoder": {"name": "odd"}, "method": {"name": method}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with installed(tmp_path / "site", GROUP, {"odd": target}, MODULES, name="my-nets"):
        with pytest.raises(SystemExit) as stopped:
            main(["pretrain", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run")])
        assert stopped.value.code == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert f"'odd' of my-nets 1.0 (entry point of usssl.encoders) is faulty: {target} {cause}" in said[0]
        assert not (tmp_path / "run").exists()
        assert encoders.build("resnet18", width=0.25).dim == 128, "others are built"
        with pytest.raises(RecipeError, match=r"unknown encoder 'od'; known are: .*odd"):
            encoders.build("od")


def test_the_own_name_comes_first(tmp_path: Path) -> None:
    with installed(tmp_path / "site", GROUP, {"resnet18": "my_nets.broken:Net"}, MODULES, name="my-nets"):
        assert encoders.build("resnet18", width=0.25).dim == 128
        assert encoders.names().count("resnet18") == 1
