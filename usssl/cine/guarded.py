"""Reading untrusted files: the decoder runs in a process of its own that may hang, swell or die without harm."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from usssl.cine.cine import Cine
from usssl.cine.facts import Audio, CineFacts, Color, Limits, Region
from usssl.cine.guard_worker import receive, send
from usssl.cine.source import FrameSource
from usssl.errors import CineError, CineLimitError

_MAX_DESCRIPTION = 1 << 30  # bytes of JSON: facts, times and poses
_AT_ONCE = 64  # frames of one request; each request has the whole time limit


def open_cine_guarded(path: str | Path, *, color: Color = "native", limits: Limits | None = None) -> Cine:
    """Opens a file as `open_cine` does, but decodes it in a process of its own.

    That process may take no more memory than `Limits.max_memory`, and no longer than `Limits.max_seconds` for opening,
    for up to 64 frames, and for the sound. If it hangs it is stopped, if it dies it is replaced at the next request;
    either way the caller gets an error. Starting it takes about a second.

    Args:
        path: as for `open_cine`.
        color: `native`, `grey` or `rgb`.
        limits: what the file may ask for; the defaults of `Limits` where None.

    Raises:
        CineError: if the file cannot be read, or the process died of it.
        CineLimitError: if it took too long or too much memory.
    """
    limits = limits or Limits()
    path = Path(path)
    return Cine(path, functools.partial(GuardedSource, path.absolute(), color, limits), color, limits)


class GuardedSource(FrameSource):
    """The parent's end of the pipe."""

    def __init__(self, path: Path, color: Color, limits: Limits) -> None:
        self._path = path
        self._color = color
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        described = self._start()
        self.facts = _parsed(CineFacts, described["facts"])
        self.times = np.array(described["times"], dtype=np.float64)
        self.regions = tuple(_parsed(Region, region) for region in described["regions"])
        poses = described["poses"]
        self.poses = None if poses is None else {str(n): np.array(pose, np.float64) for n, pose in poses.items()}
        self.channels = 3 if described["channels"] == 3 else 1

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        size = (self.facts.height, self.facts.width)
        allowed = (size, (*size, 3))
        for first in range(0, len(indices), _AT_ONCE):
            block = list(indices[first : first + _AT_ONCE])
            with self._asking({"do": "read", "indices": block}) as conversation:
                frames = []
                for _ in block:
                    shape = tuple(conversation.json()["shape"])
                    if shape not in allowed:
                        raise ValueError("a frame of another size")
                    data = conversation.data(int(np.prod(shape)))
                    frames.append(np.frombuffer(data, np.uint8).reshape(shape))
            yield from frames

    def audio(self) -> Audio | None:
        """See `FrameSource.audio`."""
        with self._asking({"do": "audio"}) as conversation:
            found = conversation.json()["audio"]
            if found is None:
                return None
            waveform = np.frombuffer(conversation.data(None), np.float32)
            return Audio(waveform, int(found["rate"]), float(found["start"]))

    def patient(self) -> str | None:
        """See `FrameSource.patient`."""
        with self._asking({"do": "patient"}) as conversation:
            return conversation.json()["patient"]

    def close(self) -> None:
        """See `FrameSource.close`."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> dict[str, Any]:
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "usssl.cine.guard_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        order = {"path": str(self._path), "color": self._color, "limits": dataclasses.asdict(self._limits)}
        with self._asking(order) as conversation:
            return conversation.json()

    def _asking(self, request: dict[str, Any]) -> _Conversation:
        if self._process is None:
            self._start()
        assert self._process is not None
        return _Conversation(self, self._process, self._path, self._limits, request)


class _Conversation:
    """One request and its answers, under a clock that stops the process."""

    def __init__(
        self,
        owner: GuardedSource,
        process: subprocess.Popen[bytes],
        path: Path,
        limits: Limits,
        request: dict[str, Any],
    ) -> None:
        self._owner, self._process, self._path, self._limits = owner, process, path, limits
        self._request = request
        self._late = False
        self._clock = threading.Timer(limits.max_seconds, self._stop)

    def json(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            CineError: that the worker reports.
        """
        answer = json.loads(receive(self._answers, _MAX_DESCRIPTION))
        if "error" in answer:
            kind = CineLimitError if answer["error"] == "limit" else CineError
            raise kind(self._path, str(answer["reason"])[:500])
        return answer

    def data(self, length: int | None) -> bytes:
        """The next answer as bytes, of this length where one is given."""
        data = receive(self._answers, self._limits.max_memory if length is None else length)
        if length is not None and len(data) != length:
            raise ValueError("a frame of another size")
        return data

    def __enter__(self) -> _Conversation:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._answers = cast(BinaryIO, self._process.stdout)
        self._clock.daemon = True
        self._clock.start()
        try:
            send(cast(BinaryIO, self._process.stdin), json.dumps(self._request).encode())
        except OSError:
            self.__exit__(EOFError, EOFError(), None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._clock.cancel()
        if error is None or isinstance(error, CineError):
            return
        self._process.kill()
        self._process.communicate()
        self._owner._process = None
        if self._late:
            raise CineLimitError(self._path, f"reading it took longer than {self._limits.max_seconds:g} s") from None
        if isinstance(error, (EOFError, OSError)):
            raise CineError(self._path, f"its decoder died ({_manner(self._process.returncode)})") from None
        if isinstance(error, Exception):
            raise CineError(self._path, "its decoder gave an answer that makes no sense") from error

    def _stop(self) -> None:
        self._late = True
        self._process.kill()


def _parsed(kind: Any, content: Any) -> Any:
    """A dataclass from JSON, every field checked, since the worker may be in the hands of the file."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(content, strict=False)


def _manner(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
