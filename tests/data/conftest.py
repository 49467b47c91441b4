"""Small cines written to disk, and a cache and key that no other test sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from usssl import progress
from usssl.cine import write_video


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("USSSL_CACHE", str(cache))
    key = cache / "pseudonym.key"
    key.write_text("7f" * 32)
    monkeypatch.setenv("USSSL_KEY", str(key))
    monkeypatch.setattr(progress, "_quiet", True)
    return cache


@pytest.fixture
def write_cine() -> Callable[..., Path]:
    def write(path: Path, *, seed: int, frames: int = 10, size: tuple[int, int] = (48, 64), fps: float = 20) -> Path:
        """A lossless video of noise, lit everywhere, so that every frame of every seed is unlike the others."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(40, 220, (frames, *size), dtype=np.uint8)
        return write_video(path, pixels, fps, codec="ffv1")

    return write
