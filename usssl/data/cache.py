"""What usssl derives and can make again: the cache folder, whole-file writes, and a lock between processes."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from usssl.errors import OutputError
from usssl.progress import say


def cache_folder(*parts: str) -> Path:
    """A folder of the user's cache, made if need be; `USSSL_CACHE` moves the cache.

    Raises:
        OutputError: it cannot be made.
    """
    import platformdirs

    root = Path(os.environ.get("USSSL_CACHE") or platformdirs.user_cache_dir("usssl", appauthor=False))
    folder = root.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the cache folder {folder}: {error.strerror}; set USSSL_CACHE to another place"
        ) from error
    return folder


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; it takes the place of `path` only if all went well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def lock_for(path: Path) -> Path:
    """The lock file of something that is being made; it lies in the cache, not beside the thing."""
    return cache_folder("locks") / hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file; waits for another process that holds it. The system lets go of it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        told = False
        while not _try_lock(file.fileno()):
            if not told:
                say("Waiting for another process that is making the same")
                told = True
            time.sleep(0.2)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
