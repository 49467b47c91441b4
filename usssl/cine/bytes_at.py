"""Bytes at a place of a file: with one system call and no buffer in between, where the system can."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from typing import BinaryIO


def reader_at(stream: BinaryIO) -> Callable[[int, int], bytes]:
    """A function `(length, offset) → bytes` for a file or a file-like object; fewer bytes only at its end.

    A buffered file drops its buffer at each `seek` and fills it again, eight kilobytes for the eight bytes that an item
    header has.
    """
    try:
        handle = stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return partial(_sought, stream)
    return partial(os.pread, handle) if hasattr(os, "pread") else partial(_sought, stream)


def _sought(stream: BinaryIO, length: int, offset: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)
