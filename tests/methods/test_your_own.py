"""The example of docs/methods/your_own.md as a third party ships it: found by entry point, trained by a recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import usssl
from tests.cines import make_cine_folder
from usssl import methods
from usssl.errors import RecipeError


@pytest.fixture
def package(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the page's code as a package with the page's entry point."""
    page = (repository / "docs" / "methods" / "your_own.md").read_text()
    code = re.search(r"^```python\n(.*?)^```", page, re.S | re.M)[1]
    entry = re.search(r"^```toml\n(.*?)^```", page, re.S | re.M)[1]
    name, target = re.search(r'^(\w+) = "([\w.:]+)"', entry, re.M).groups()
    site = tmp_path / "site"
    module = site / Path(*target.partition(":")[0].split(".")).with_suffix(".py")
    module.parent.mkdir(parents=True)
    module.write_text(code)
    (module.parent / "__init__.py").touch()
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[usssl.methods]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(site))
    methods._entry_points.cache_clear()
    yield
    methods._entry_points.cache_clear()


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


def test_without_its_package_the_example_is_unknown() -> None:
    assert "simsiam" not in methods.names()
    with pytest.raises(RecipeError, match="unknown method 'simsiam'; installed are: cate, cep, cvrl"):
        methods.build("simsiam")
