"""The process that decodes an untrusted file for `open_cine_guarded`, asked and answering over its standard streams.

A message is eight bytes of length, then that many bytes: JSON, or the pixels of one frame. Nothing is pickled: what
comes out of a decoder that a file has taken over must not run in the parent.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from usssl.cine.facts import Limits
from usssl.cine.opening import open_source
from usssl.cine.source import FrameSource
from usssl.errors import CineError, CineLimitError, UssslError


def send(stream: BinaryIO, message: bytes) -> None:
    """Writes one message."""
    stream.write(len(message).to_bytes(8, "little"))
    stream.write(message)
    stream.flush()


def receive(stream: BinaryIO, most: int) -> bytes:
    """Reads one message of at most `most` bytes.

    Raises:
        EOFError: if the other side has gone.
        ValueError: if the message is longer.
    """
    head = stream.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8:
        raise EOFError
    if length > most:
        raise ValueError(f"a message of {length} bytes")
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    return message


def main() -> None:
    """Opens the file that the first message names, then serves requests until the parent goes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    requests = sys.stdin.buffer
    order = json.loads(receive(requests, 1 << 20))
    limits = Limits(**order["limits"])
    _limit_memory(limits.max_memory)
    try:
        source = open_source(Path(order["path"]), order["color"], limits, 1)
        _send_json(answers, _description(source))
    except UssslError as error:
        _send_error(answers, error)
        return
    while True:
        try:
            request = json.loads(receive(requests, 1 << 26))
        except EOFError:
            return
        try:
            _answer(answers, source, request)
        except UssslError as error:
            _send_error(answers, error)
        except MemoryError:
            _send_json(answers, {"error": "limit", "reason": "decoding it takes more memory than the limits allow"})


def _answer(answers: BinaryIO, source: FrameSource, request: dict[str, Any]) -> None:
    if request["do"] == "read":
        for frame in source.frames_at(request["indices"]):
            _send_json(answers, {"shape": frame.shape})
            send(answers, frame.tobytes())
    elif request["do"] == "audio":
        audio = source.audio()
        if audio is None:
            _send_json(answers, {"audio": None})
        else:
            _send_json(answers, {"audio": {"rate": audio.rate, "start": audio.start}})
            send(answers, audio.waveform.tobytes())
    else:
        _send_json(answers, {"patient": source.patient()})


def _description(source: FrameSource) -> dict[str, Any]:
    return {
        "facts": dataclasses.asdict(source.facts),
        "times": source.times.tolist(),
        "regions": [dataclasses.asdict(region) for region in source.regions],
        "poses": None if source.poses is None else {name: pose.tolist() for name, pose in source.poses.items()},
        "channels": source.channels,
    }


def _send_json(stream: BinaryIO, content: dict[str, Any]) -> None:
    send(stream, json.dumps(content).encode())


def _send_error(stream: BinaryIO, error: UssslError) -> None:
    reason = error.reason if isinstance(error, CineError) else str(error)
    _send_json(stream, {"error": "limit" if isinstance(error, CineLimitError) else "cine", "reason": reason})


def _limit_memory(extra: int) -> None:
    """Bounds the address space to what is in use and `extra` bytes more, where the system can."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + extra, used + extra))
    except (ImportError, OSError, ValueError):
        return


if __name__ == "__main__":
    main()
