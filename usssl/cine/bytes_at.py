"""Bytes at a place of a file: with one system call and no buffer in between, where the system can."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

_SEEKING = threading.Lock()


def reader_at(stream: BinaryIO) -> Callable[[int, int], bytes]:
    """A function `(length, offset) → bytes` for a file or a file-like object; fewer bytes only at its end.

    Several threads may read with it at once.

    A buffered file drops its buffer at each `seek` and fills it again, eight kilobytes for the eight bytes that an item
    header has.
    """
    try:
        handle = stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return partial(_sought, stream)
    return partial(os.pread, handle) if hasattr(os, "pread") else partial(_sought, stream)


def read_swapped(read: Callable[[int, int], bytes], start: int, length: int, offset: int) -> bytes:
    """Bytes of 16-bit words whose two bytes have changed places; the words are counted from `start`."""
    before = (offset - start) % 2
    data = bytearray(read(before + length + (before + length) % 2, offset - before))
    data[len(data) // 2 * 2 :] = b""
    data[0::2], data[1::2] = data[1::2], data[0::2]
    return bytes(data[before : before + length])


def _sought(stream: BinaryIO, length: int, offset: int) -> bytes:
    with _SEEKING:
        stream.seek(offset)
        return stream.read(length)
