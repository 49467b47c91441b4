"""How far ONNX Runtime is from PyTorch, measured on real frames before a bundle is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from usssl.bundle.metadata import Parity
from usssl.bundle.session import FIXED_WINDOW, FRAMES, WINDOW
from usssl.errors import BundleError

UInt8 = npt.NDArray[np.uint8]
Outputs = dict[str, npt.NDArray[np.float32]]
# Frames of one comparison: enough to be real, few enough that an export stays quick.
_MOST_FRAMES = 16


def compare(
    model: nn.Module,
    content: bytes,
    outputs: Sequence[str],
    examples: Sequence[UInt8],
    clip_frames: int,
    tolerance: float,
) -> Parity:
    """Runs both on the examples in several shapes, and with the window fixed.

    Args:
        model: the PyTorch model, in evaluation mode on the CPU.
        content: the ONNX model.
        outputs: names of the outputs, in the order of the graph.
        examples: real cines, uint8 (T, H, W) or (T, H, W, 3).
        clip_frames: frames that the model takes at once; 1 for a model that treats each frame by itself.
        tolerance: largest error allowed, relative to the largest magnitude of an output.

    Raises:
        BundleError: an output is off by more than that, is not finite, or has another shape.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    errors, scales = dict.fromkeys(outputs, 0.0), dict.fromkeys(outputs, 1e-12)
    sizes, batches, frames = set(), set(), 0
    for batch in _batches(examples, clip_frames):
        expected = _run_torch(model, batch)
        found = dict(zip(outputs, session.run(list(outputs), {FRAMES: batch}), strict=True))
        _note(errors, scales, expected, found)
        _check_fixed_window(session, batch, expected, errors, scales, clip_frames)
        batches.add(batch.shape[:2])
        sizes.add(batch.shape[2:4])
        frames += batch.shape[0] * batch.shape[1]
    relative = {name: errors[name] / scales[name] for name in outputs}
    worst = max(relative, key=lambda name: relative[name])
    if relative[worst] > tolerance:
        raise BundleError(
            f"the exported model differs from PyTorch: {worst} is off by {relative[worst]:.2g} of its largest value, "
            f"more than the tolerance {tolerance:g}; report the model or raise the tolerance"
        )
    return Parity(
        tolerance=tolerance,
        max_abs_error=errors,
        max_relative_error=relative,
        frames=frames,
        sizes=tuple(sorted(sizes)),
        batches=tuple(sorted(batches)),
    )


def _batches(examples: Sequence[UInt8], clip_frames: int) -> Iterator[UInt8]:
    """The examples as (batch, time, height, width[, 3]): long, short, two at once; the first also at another size."""
    height, width = examples[0].shape[1:3]
    cut = examples[0][:, height // 7 :, : width - width // 5]
    for example in (*examples, cut):
        frames = example[:_MOST_FRAMES]
        half = len(frames) // 2
        if clip_frames > 1:
            yield example[None, :clip_frames].copy()
            yield np.stack([example[:clip_frames], example[-clip_frames:]])
            continue
        yield frames[None].copy()
        yield frames[None, :1].copy()
        if half:
            yield np.stack([frames[:half], frames[-half:]])


def _run_torch(model: nn.Module, batch: UInt8) -> Outputs:
    with torch.inference_mode():
        return {name: value.float().numpy() for name, value in model(torch.from_numpy(batch)).items()}


def _check_fixed_window(
    session: Any,
    batch: UInt8,
    expected: Outputs,
    errors: dict[str, float],
    scales: dict[str, float],
    clip_frames: int,
) -> None:
    """With the window of the whole batch fixed, its last frame alone must give what it gave within the batch."""
    if batch.shape[0] != 1:
        return
    part = batch if clip_frames > 1 else batch[:, -1:]
    names = [name for name in errors if name != "cine_probs" or clip_frames > 1]
    values = session.run(names, {FRAMES: part, FIXED_WINDOW: expected[WINDOW]})
    last = {
        name: expected[name] if name in {WINDOW, "cine_probs"} else expected[name][:, -part.shape[1] :]
        for name in names
    }
    _note(errors, scales, last, dict(zip(names, values, strict=True)))


def _note(errors: dict[str, float], scales: dict[str, float], expected: Outputs, found: Outputs) -> None:
    for name, value in found.items():
        truth = expected[name]
        if truth.shape != value.shape:
            raise BundleError(
                f"the exported model gives {name} of shape {value.shape}, PyTorch {truth.shape}; "
                "make the model's forward use no fixed sizes"
            )
        if not np.isfinite(value).all():
            raise BundleError(f"the exported model's output {name} is not finite on real frames; report the model")
        errors[name] = max(errors[name], float(np.abs(truth - value).max(initial=0.0)))
        scales[name] = max(scales[name], float(np.abs(truth).max(initial=0.0)))
