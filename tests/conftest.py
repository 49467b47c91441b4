"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("usssl", deadline=None)  # shared machines are too uneven for deadlines
settings.load_profile("usssl")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets (`USSSL_TEST_DATA`); skips where it is absent."""
    folder = Path(os.environ.get("USSSL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set USSSL_TEST_DATA)")
    return folder.resolve()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The project's root."""
    return ROOT
