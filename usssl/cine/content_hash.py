"""The content hash that identifies a cine wherever its file lies."""

from __future__ import annotations

import hashlib
from pathlib import Path

from usssl.errors import CineError

_BLOCK = 1 << 20


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the bytes of a folder's files in order; the first 32 hex digits.

    Raises:
        CineError: if the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if len(files) > 1:
                digest.update(file.stat().st_size.to_bytes(8, "little"))
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
    except OSError as error:
        raise CineError(path, f"{error.strerror or error}".lower()) from None
    return digest.hexdigest()[:32]
