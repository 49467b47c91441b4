"""An ONNX Runtime session over a bundle's model, checked against what the bundle promises."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from usssl.bundle import providers
from usssl.bundle.metadata import MODEL_FILE, OUTPUT_OF_TASK, BundleMetadata
from usssl.bundle.onnx_file import external_data, pruned
from usssl.errors import BundleError

FRAMES = "frames"
WINDOW = "window"
# An optional input (a graph input with a default): the window to use in place of finding one, float32 (1, 4).
FIXED_WINDOW = "fixed_window"
# The limit of a protobuf message, so of any ONNX file without external data.
MAX_MODEL_BYTES = 2**31 - 1


def read_model(folder: Path, metadata: BundleMetadata) -> bytes:
    """Reads the model file once, so that the bytes that were checked are the bytes that run.

    Raises:
        BundleError: missing, too large, not the file that the metadata describes, or not self-contained.
    """
    path = folder / MODEL_FILE
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise BundleError(f"{path} has {size} bytes, more than an ONNX file can hold; export the bundle again")
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{folder} is not a whole bundle: it has no {MODEL_FILE}; copy or export it again") from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}; check its permissions") from None
    if hashlib.sha256(content).hexdigest() != metadata.usssl.sha256:
        raise BundleError(
            f"{path} is not the model that the bundle's metadata describes (sha256 differs); copy or export it again"
        )
    if name := external_data(content):
        raise BundleError(
            f"{path} keeps its weights in another file ({name!r}), which usssl does not read; "
            "export the model with its weights inside"
        )
    return content


class Session:
    """Runs a bundle's model.

    Attributes:
        outputs: names of the outputs that the graph has.
        colour: whether the graph wants RGB frames (batch, time, height, width, 3).
        threads: cores that one call may use, on the CPU.
        takes_window: whether the graph has the optional input `fixed_window`.
        provider: the ONNX Runtime provider that runs it.
        remark: what a user should know about the choice of provider, or "".
    """

    def __init__(
        self, content: bytes, metadata: BundleMetadata, *, device: str = "auto", threads: int | None = None
    ) -> None:
        wanted, self.remark = providers.choose(device)
        self.threads = threads if threads is not None else available_cores()
        self._content, self._providers = content, wanted
        self._session = self._start(content)
        self._parts: dict[frozenset[str], Any] = {}
        self._starting = threading.Lock()
        self.provider: str = self._session.get_providers()[0]
        # Calls side by side on one GPU gain nothing and each claims its own memory.
        self._turn = contextlib.nullcontext() if self.provider == providers.CPU else threading.Lock()
        self.outputs: tuple[str, ...] = tuple(node.name for node in self._session.get_outputs())
        self.takes_window = FIXED_WINDOW in {node.name for node in self._session.get_overridable_initializers()}
        self.colour = self._check_input()
        self._check_outputs(metadata)

    def run(self, names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        """The named outputs; only the part of the graph that they need is computed.

        Raises:
            BundleError: the model fails on these inputs.
        """
        import onnxruntime as ort

        session = self._part(frozenset(names))
        options = ort.RunOptions()
        options.log_severity_level = 4
        try:
            with self._turn:
                values = session.run(list(names), dict(feeds), options)
        except Exception as error:
            shape = feeds[FRAMES].shape
            raise BundleError(f"the bundle's model fails on frames of shape {shape}: {_first_line(error)}") from None
        return dict(zip(names, values, strict=True))

    def _part(self, names: frozenset[str]) -> Any:
        """A session for these outputs, started at its first use."""
        if names == frozenset(self.outputs):
            return self._session
        with self._starting:
            if names not in self._parts:
                self._parts[names] = self._start(pruned(self._content, names))
            return self._parts[names]

    def _start(self, content: bytes) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # The threads are shared with decoders; spinning would take their cores while the model waits for frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(content, options, providers=self._providers)
        except Exception as error:
            raise BundleError(
                f"onnxruntime {ort.__version__} refuses the model ({_first_line(error)}); "
                "update onnxruntime or export it again"
            ) from None

    def _check_input(self) -> bool:
        nodes = self._session.get_inputs()
        shapes = {node.name: list(node.shape) for node in nodes if node.type == "tensor(uint8)"}
        rank = len(shapes.get(FRAMES, []))
        if [node.name for node in nodes] != [FRAMES] or rank not in {4, 5}:
            found = ", ".join(f"{node.name} {node.type}" for node in nodes)
            raise BundleError(
                "the bundle's model must have one input, frames, uint8 (batch, time, height, width[, 3]), "
                f"but it has {found}; export it with `usssl export`"
            )
        return rank == 5

    def _check_outputs(self, metadata: BundleMetadata) -> None:
        needed = [OUTPUT_OF_TASK[task] for task in metadata.usssl.task] + [WINDOW]
        missing = [name for name in needed if name not in self.outputs]
        if missing:
            raise BundleError(
                f"the bundle's model lacks the output {missing[0]} that its task needs; "
                f"it has {', '.join(self.outputs)}; export it again"
            )
        classes = len(metadata.usssl.classes)
        for node in self._session.get_outputs():
            columns = node.shape[-1] if node.shape else None
            if node.name in {"plane_probs", "cine_probs"} and isinstance(columns, int) and columns != classes:
                raise BundleError(
                    f"the bundle's model tells {columns} classes apart but its metadata names {classes}; "
                    "export it again"
                )


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
