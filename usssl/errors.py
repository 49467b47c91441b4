"""Everything that usssl raises on purpose: one class for each thing that a caller can act on.

A message is one sentence that says what, where and how to mend it. The command line prints it as it is.
"""

from __future__ import annotations

from pathlib import Path


class UssslError(Exception):
    """Base of all errors that usssl raises on purpose.

    Attributes:
        exit_code: what the command line exits with (1: the work failed; 2: bad usage, before any work).
    """

    exit_code = 1


class UsageError(UssslError):
    """The caller asked for something impossible: a missing folder, a wrong option, a missing extra."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe is not valid; the message names the key."""


class OutputError(UsageError):
    """An output cannot be written where it was asked for."""


class BundleError(UsageError):
    """A folder is not a bundle, is damaged, or does not fit the use made of it."""


class CatalogError(UsageError):
    """A catalogue or a prepared store is missing, damaged, or does not fit the use made of it."""


class CineError(UssslError):
    """A file cannot be read as a cine.

    Attributes:
        path: the file.
        reason: why, without the path; what `failures.csv` lists.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"cannot read {self.path}: {reason}")


class CineLimitError(CineError):
    """A file asks for more memory or time than the limits allow."""
