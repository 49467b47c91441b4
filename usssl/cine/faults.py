"""The border between untrusted bytes and the rest of usssl: whatever a decoder raises leaves as a typed error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usssl.errors import CineError, CineLimitError, UssslError


@contextmanager
def typed_faults(path: Path) -> Iterator[None]:
    """Turns any exception but usssl's own into a `CineError` on `path`.

    Foreign messages may quote the header and with it a patient, so only the type of the exception is told; the
    exception itself hangs on as the cause, for `--debug`.

    Raises:
        CineError: in place of a foreign exception.
        CineLimitError: in place of a MemoryError.
    """
    try:
        yield
    except UssslError:
        raise
    except MemoryError as error:
        raise CineLimitError(path, "it asks for more memory than there is") from error
    except OSError as error:
        raise CineError(path, f"{error.strerror or type(error).__name__}".lower()) from error
    except Exception as error:
        raise CineError(path, f"it is damaged, or of a kind not foreseen ({type(error).__name__})") from error
