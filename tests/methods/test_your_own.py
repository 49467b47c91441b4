"""The example of docs/methods/your_own.md as a third party ships it: found by entry point, trained by a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import usssl
from tests.cines import make_cine_folder
from tests.packages import installed
from usssl import methods
from usssl.augment.presets import cep, cvrl
from usssl.cli import main
from usssl.engine.pretraining import build_method
from usssl.errors import RecipeError
from usssl.recipe import PretrainRecipe, dump_recipe, read_recipe

GROUP = "usssl.methods"


def code_of_the_page(repository: Path) -> str:
    page = (repository / "docs" / "methods" / "your_own.md").read_text()
    return re.search(r"^```python\n(.*?)^```", page, re.S | re.M)[1]


@pytest.fixture
def package(repository: Path, tmp_path: Path) -> Iterator[None]:
    """Installs the page's code as a package with the page's entry point."""
    page = (repository / "docs" / "methods" / "your_own.md").read_text()
    code = code_of_the_page(repository)
    entry = re.search(r"^```toml\n(.*?)^```", page, re.S | re.M)[1]
    name, target = re.search(r'^(\w+) = "([\w.:]+)"', entry, re.M).groups()
    with installed(tmp_path / "site", GROUP, {name: target}, {target.partition(":")[0]: code}):
        yield


@pytest.mark.usefixtures("package")
def test_the_example_trains_by_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSSL_CACHE", str(tmp_path / "cache"))
    source = make_cine_folder(tmp_path / "source", cines=5)
    assert "simsiam" in methods.names()
    recipe = {
        "data": {"source": str(source), "clip": {"frames": 2, "step": 2, "size": [32, 48]}},
        "encoder": {"name": "sononet16", "width": 0.25},
        "method": {"name": "simsiam", "dim": 16, "bottleneck": 8},
        "trainer": {"epochs": 2, "clips_per_epoch": 96, "batch_size": 8, "precision": "fp32", "device": "cpu"},
        "optimizer": {"lr": 0.05},
        "tracking": {"tensorboard": False},
    }
    run = usssl.pretrain(recipe, out=tmp_path / "run")
    lines = [line for line in run.metrics() if "loss" in line]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {"feature_std", "effective_rank", "same_cine_knn"} <= lines[-1].keys()
    with pytest.raises(RecipeError, match=r"did you mean 'method.dim'"):
        usssl.pretrain(recipe, ["method.dims=3"], out=tmp_path / "other")


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_without_its_stop_gradient_the_example_collapses_and_says_so(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_gradient: bool
) -> None:
    monkeypatch.setenv("USSSL_CACHE", str(tmp_path / "cache"))
    code = code_of_the_page(repository)
    assert code.count(".detach()") == 2
    if not stop_gradient:
        code = code.replace(".detach()", "")
    source = make_cine_folder(tmp_path / "source", cines=5)
    recipe = {
        "data": {"source": str(source), "clip": {"frames": 2, "step": 2, "size": [32, 48]}},
        "encoder": {"name": "sononet16", "width": 0.25},
        "method": {"name": "simsiam", "dim": 16, "bottleneck": 8},
        "trainer": {"epochs": 1, "clips_per_epoch": 960, "batch_size": 8, "precision": "fp32", "device": "cpu"},
        "optimizer": {"lr": 0.2},
        "tracking": {"tensorboard": False},
    }
    with installed(tmp_path / "site", GROUP, {"simsiam": "my_package.simsiam:SimSiam"}, {"my_package.simsiam": code}):
        run = usssl.pretrain(recipe, out=tmp_path / "run")
    lines = [line for line in run.metrics() if "feature_std" in line]
    assert lines[-1]["feature_std"] > 0.1
    said = (
        "the embeddings have collapsed: all clips look nearly alike to the head" in (run.path / "log.txt").read_text()
    )
    assert said is not stop_gradient
    assert (lines[-1]["loss"] < -0.99) is not stop_gradient


def simsiam(kind: str, **augment: Any) -> PretrainRecipe:
    data = {"source": "x", "kind": kind, "clip": {"frames": 2, "step": 2, "size": [32, 48]}}
    encoder = {"name": "sononet16", "width": 0.25}
    recipe = read_recipe({"data": data, "encoder": encoder, "method": {"name": "simsiam"}, "augment": augment})
    assert isinstance(recipe, PretrainRecipe)
    return recipe


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("kind", ["ultrasound", "natural"])
def test_its_views_follow_the_kind_of_video(kind: str) -> None:
    """It has no argument `ultrasound`, and `augmentations` has the views of ultrasound."""
    ultrasound = kind == "ultrasound"
    recipe = simsiam(kind)
    assert recipe.augment is not None
    assert recipe.augment.ultrasound is ultrasound
    assert f"ultrasound: {str(ultrasound).lower()}" in dump_recipe(recipe)
    assert build_method(recipe).chosen_augmentations() == cvrl((32, 48), ultrasound=ultrasound)
    given = simsiam(kind, ultrasound=not ultrasound)
    assert build_method(given).chosen_augmentations() == cvrl((32, 48), ultrasound=not ultrasound)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("kind", ["ultrasound", "natural"])
def test_another_preset_follows_the_kind_too_and_leaves_normalising_to_the_method(kind: str) -> None:
    chosen = build_method(simsiam(kind, preset="cep")).chosen_augmentations()
    assert [view.ops for view in chosen] == [view.ops for view in cep((32, 48), ultrasound=kind == "ultrasound")]
    assert {(view.mean, view.std) for view in chosen} == {((0.0,), (1.0,))}


def test_without_its_package_the_example_is_unknown() -> None:
    assert "simsiam" not in methods.names()
    with pytest.raises(RecipeError, match="unknown method 'simsiam'; installed are: cate, cep, cvrl"):
        methods.build("simsiam")


# -- faulty packages -----------------------------------------------------------------------------------------------

MODULES = {
    "my_faulty.broken": "import nowhere_to_be_found\n",
    "my_faulty.here": (
        "from usssl.methods import Method\n\ndef function():\n    pass\n\nclass Bare(Method):\n    pass\n"
    ),
}
FAULTS = {
    "import": ("my_faulty.broken:Broken", "cannot be imported (ModuleNotFoundError: No module named 'nowhere_to_be_"),
    "attribute": ("my_faulty.here:Missing", "cannot be imported (AttributeError: module 'my_faulty.here' has no attr"),
    "function": ("my_faulty.here:function", "is no class derived from usssl.methods.Method;"),
    "class": ("pathlib:Path", "is no class derived from usssl.methods.Method;"),
    "bare": ("my_faulty.here:Bare", "has no Arguments derived from usssl.methods.MethodArguments;"),
}


@pytest.fixture
def faulty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Installs a package whose only method is faulty."""
    target, cause = FAULTS[request.param]
    with installed(tmp_path / "site", GROUP, {"odd": target}, MODULES, name="my-faulty"):
        yield target, cause


@pytest.mark.parametrize("faulty", FAULTS, indirect=True)
def test_a_faulty_method_is_refused_in_one_sentence(
    faulty: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {source: x}\nmethod: {name: odd}\n")
    out = tmp_path / "run"
    for command in (["describe", str(recipe)], ["pretrain", str(recipe), "-o", str(out)]):
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        target, cause = faulty
        assert said[0].startswith(
            f"usssl: {recipe}: 'odd' of my-faulty 1.0 (entry point of usssl.methods) is faulty: {target} {cause}"
        )
        assert said[0].endswith("; mend or uninstall that package")
    assert not out.exists()


@pytest.mark.parametrize("faulty", FAULTS, indirect=True)
@pytest.mark.usefixtures("faulty")
def test_a_faulty_method_hinders_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "odd" in methods.names()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {source: x}\nmethod: {name: cvrl}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["describe", str(recipe)])
    assert stopped.value.code == 0
    assert "name: cvrl" in capsys.readouterr().out
    recipe.write_text("data: {source: x}\nmethod: {name: cvrll}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["describe", str(recipe)])
    assert stopped.value.code == 2
    assert "unknown method 'cvrll'; did you mean 'cvrl'?" in capsys.readouterr().err


def test_a_name_of_two_packages_is_refused(tmp_path: Path) -> None:
    with (
        installed(tmp_path / "one", GROUP, {"odd": "pathlib:Path"}, {}, name="another"),
        installed(tmp_path / "two", GROUP, {"odd": "pathlib:Path"}, {}),
        pytest.raises(RecipeError, match=r"'odd' is .* in another 1.0 and in my-package 1.0: .*; uninstall the others"),
    ):
        methods.get("odd")


def test_no_package_takes_the_name_of_a_published_method(tmp_path: Path) -> None:
    with (
        installed(tmp_path / "site", GROUP, {"cvrl": "pathlib:Path"}, {}),
        pytest.raises(RecipeError, match=r"'cvrl' is .* in my-package 1.0 and in usssl "),
    ):
        methods.get("cvrl")
    assert methods.get("cvrl").__module__ == "usssl.methods.cvrl"
