"""Tasks for worker processes that do what a decoder of a damaged file may do."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from usssl.errors import CineError


def act(item: dict[str, Any]) -> dict[str, Any]:
    match item["act"]:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(3600)
        case "gorge":
            bytearray(64 << 30)
        case "print":
            os.write(1, b'{"result": "a decoder that prints on standard output"}\n')
        case "refuse":
            raise CineError("x.mp4", "it is empty")
        case "raise":
            raise RuntimeError("two\nlines")
    return {"pid": os.getpid(), "number": item["number"]}
