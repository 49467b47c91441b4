"""A tiny labelled source and recipes that train on it in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cines import make_cine_folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSSL_CACHE", str(cache))
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cine_folder(tmp_path_factory.mktemp("source"), cines=10)


@pytest.fixture
def pretrain_recipe(source: Path) -> dict[str, Any]:
    return {
        "data": {"source": str(source), "clip": {"frames": 4, "step": 3, "size": [48, 64]}},
        "encoder": {"name": "sononet16", "width": 0.25},
        "method": {"name": "order_transform"},
        "trainer": {"epochs": 2, "clips_per_epoch": 24, "batch_size": 4, "precision": "fp32", "device": "cpu"},
        "tracking": {"tensorboard": False},
    }


@pytest.fixture
def planes_recipe(pretrain_recipe: dict[str, Any]) -> dict[str, Any]:
    recipe = {key: value for key, value in pretrain_recipe.items() if key != "method"}
    return recipe | {"task": {"name": "planes"}, "start_from": "random"}
