"""Files that may not be read: root may read them all, so root becomes nobody for the question."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = 65534

needs_users = pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users as Unix has them")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Runs its block as a user without rights, where this one has all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that others may enter and read, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
