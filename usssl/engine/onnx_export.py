"""Writes a bundle from a PyTorch model: one self-contained ONNX file, compared with PyTorch on real frames."""

from __future__ import annotations

import copy
import hashlib
import logging
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from usssl.bundle import open_bundle
from usssl.bundle.metadata import (
    CARD_FILE,
    METADATA_FILE,
    MODEL_FILE,
    OUTPUT_OF_TASK,
    BundleMetadata,
    ClipFacts,
    NetworkDataFormat,
    TensorFormat,
    UssslFacts,
)
from usssl.bundle.session import FIXED_WINDOW, FRAMES, MAX_MODEL_BYTES, WINDOW
from usssl.engine.model_card import CardFacts, model_card
from usssl.engine.parity import compare
from usssl.errors import BundleError, OutputError, UsageError

UInt8 = npt.NDArray[np.uint8]
OUTPUTS = ("plane_probs", "saliency", "embedding", "cine_probs", WINDOW)
OPSET = 20
_TRACED_CLIP = 19

_FORMATS = {
    "plane_probs": ("probabilities", "classes", (0.0, 1.0)),
    "cine_probs": ("probabilities", "classes", (0.0, 1.0)),
    "saliency": ("image", "magnitude", (0.0, 1.0)),
    "embedding": ("feature", "tensor", ()),
    WINDOW: ("coordinates", "points", ()),
}


def export_model(
    model: nn.Module,
    out: str | Path,
    *,
    task: Sequence[str],
    classes: Sequence[str] = (),
    size: tuple[int, int],
    example_frames: Sequence[UInt8],
    card: CardFacts,
    clip_frames: int = 1,
    clip_stride: int = 1,
    tolerance: float = 1e-3,
) -> Path:
    """Exports a model to a bundle, whole or not at all.

    Args:
        model: `forward(frames uint8 (batch, time, height, width[, 3]))` returns a dict of `plane_probs`, `saliency`,
            `embedding`, `cine_probs` (those of its tasks) and `window`; crop, resize and normalisation are its own.
        out: the folder to write; an existing bundle there is replaced.
        task: its tasks: `planes`, `saliency`, `recognition`, `retrieval`.
        classes: class names, for `planes` and `recognition`.
        size: height and width in pixels that the model sees after its crop.
        example_frames: real cines of different sizes, uint8 (T, H, W), or (T, H, W, 3) for a model that takes RGB; the
            parity is measured on them. For a clip model, the first and last `clip_frames` frames of each are clips.
        card: what the model card says.
        clip_frames: frames that the model takes at once; 1 for a model that treats each frame by itself.
        clip_stride: step between a clip's frames, in frames of the cine.
        tolerance: the largest error allowed, relative to the largest magnitude of an output.

    Returns:
        `out`.

    Raises:
        UsageError: no example frames, or an unknown task.
        BundleError: the model cannot be exported, or ONNX Runtime's outputs differ by more than `tolerance`.
        OutputError: `out` cannot be written, or is a folder that is no bundle.
    """
    target = Path(out)
    _check_target(target)
    names = _check_arguments(task, example_frames, clip_frames)
    exported = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    outputs = _output_names(exported, example_frames[0][:clip_frames], names)
    colour = example_frames[0].ndim == 4
    content = _with_fixed_window(_to_onnx(_Exported(exported, outputs), outputs, clip_frames, colour))
    parity = compare(exported, content, outputs, example_frames, clip_frames, tolerance)
    facts = UssslFacts(
        task=tuple(task),  # type: ignore[arg-type]  # checked above
        classes=tuple(classes),
        size=size,
        clip=ClipFacts(frames=clip_frames, stride=clip_stride),
        sha256=hashlib.sha256(content).hexdigest(),
        parity=parity,
    )
    metadata = _metadata(card, facts, outputs, colour)
    _write(target, content, metadata, model_card(card, facts, colour=colour))
    return target


class _Exported(nn.Module):
    """The model with its outputs as a tuple, for ONNX knows no dict."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.outputs = tuple(outputs)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        found = self.model(frames)
        return tuple(found[name] for name in self.outputs)


def _check_arguments(task: Sequence[str], example_frames: Sequence[UInt8], clip_frames: int) -> list[str]:
    """The names of the outputs that the tasks need."""
    for name in task:
        if name not in OUTPUT_OF_TASK:
            raise UsageError(f"a bundle has no task {name!r}; it has {', '.join(OUTPUT_OF_TASK)}")
    if not task:
        raise UsageError(f"a bundle needs a task: {', '.join(OUTPUT_OF_TASK)}")
    if not example_frames:
        raise UsageError("an export needs example frames, for it shows its parity on real ones")
    ranks = {frames.ndim for frames in example_frames}
    for frames in example_frames:
        fits = frames.ndim == 3 or (frames.ndim == 4 and frames.shape[3] == 3)
        if frames.dtype != np.uint8 or not fits or len(ranks) > 1 or len(frames) < clip_frames:
            raise UsageError(
                f"example frames are uint8, all (T, H, W) or all (T, H, W, 3), with at least {clip_frames} frames, "
                f"not {frames.dtype} {frames.shape}"
            )
    return [OUTPUT_OF_TASK[name] for name in task] + [WINDOW]


def _output_names(model: nn.Module, frames: UInt8, needed: Sequence[str]) -> list[str]:
    with torch.inference_mode():
        found = model(torch.from_numpy(frames[None].copy()))
    for name, value in found.items():
        if not torch.isfinite(value).all():
            raise BundleError(
                f"the model's output {name} is not finite on real frames; train it again before an export"
            )
    missing = [name for name in needed if name not in found]
    if missing:
        raise BundleError(f"the model gives no {missing[0]}, which its task needs; it gives {', '.join(found)}")
    return [name for name in OUTPUTS if name in found]


def _to_onnx(model: nn.Module, outputs: Sequence[str], clip_frames: int, colour: bool) -> onnx.ModelProto:
    """Exports with every axis of `frames` dynamic, but for the three colours."""
    # No two axes of the traced frames are equal, so that none can be taken for another; and a clip is long enough to
    # have several steps in time, for the exporter takes an axis of one for an axis that is always one.
    time = max(_TRACED_CLIP, clip_frames) if clip_frames > 1 else 5 if colour else 3
    frames = torch.zeros((2, time, 150, 207, *([3] if colour else [])), dtype=torch.uint8)
    frames[:, :, 20:130, 30:180] = 90
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (frames,),
                input_names=[FRAMES],
                output_names=list(outputs),
                dynamic_shapes=({0: "batch", 1: "time", 2: "height", 3: "width"},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its stages raise
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise BundleError(f"PyTorch {torch.__version__} cannot export this model to ONNX: {reason[:300]}") from error
    finally:
        quiet.setLevel(level)
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    return proto


def _with_fixed_window(model: onnx.ModelProto) -> bytes:
    """Adds the optional input `fixed_window`: a window to use in place of the one that the graph finds in each call.

    The graph finds its window in the frames of one call; a long cine takes many calls and must keep one window. A graph
    input with a default is optional, so `frames` alone is still enough. The default, an empty window, means: find it.
    """
    graph = model.graph
    found = f"found_{WINDOW}"
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == WINDOW:
                    names[index] = found
    place = next(index for index, node in enumerate(graph.node) if found in node.output)
    column = [onnx.numpy_helper.from_array(np.array([index], np.int64), f"{FIXED_WINDOW}_{index}") for index in (0, 2)]
    choice = [
        onnx.helper.make_node("Gather", [FIXED_WINDOW, column[0].name], ["fixed_x0"], axis=1),
        onnx.helper.make_node("Gather", [FIXED_WINDOW, column[1].name], ["fixed_x1"], axis=1),
        onnx.helper.make_node("Greater", ["fixed_x1", "fixed_x0"], ["is_fixed"]),
        onnx.helper.make_node("Where", ["is_fixed", FIXED_WINDOW, found], [WINDOW]),
    ]
    rest = list(graph.node)[place + 1 :]
    del graph.node[place + 1 :]
    graph.node.extend(choice)
    for node in rest:
        node.input[:] = [WINDOW if name == found else name for name in node.input]
    graph.node.extend(rest)
    graph.initializer.extend([*column, onnx.numpy_helper.from_array(np.zeros((1, 4), np.float32), FIXED_WINDOW)])
    graph.input.append(onnx.helper.make_tensor_value_info(FIXED_WINDOW, onnx.TensorProto.FLOAT, [1, 4]))
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise BundleError(f"the exported graph is not valid ONNX: {str(error).splitlines()[0]}") from error
    if model.ByteSize() > MAX_MODEL_BYTES:
        raise BundleError(
            f"the model takes {model.ByteSize()} bytes, more than an ONNX file can hold; use a smaller one"
        )
    return bytes(model.SerializeToString())


def _metadata(card: CardFacts, facts: UssslFacts, outputs: Sequence[str], colour: bool) -> BundleMetadata:
    channels = ("red", "green", "blue") if colour else ("grey",)
    frames = TensorFormat(
        type="image",
        format="rgb" if colour else "magnitude",
        num_channels=len(channels),
        spatial_shape=("*", "*"),
        dtype="uint8",
        value_range=(0, 255),
        channel_def={str(index): name for index, name in enumerate(channels)},
    )
    return BundleMetadata(
        version=card.version,
        changelog={card.version: card.change},
        monai_version=_version_of("monai"),
        pytorch_version=_version_of("torch"),
        numpy_version=_version_of("numpy"),
        required_packages_version={"usssl": _version_of("usssl"), "onnxruntime": onnxruntime.__version__},
        name=card.name,
        task=card.task,
        description=card.description,
        authors=card.authors,
        copyright=card.copyright,
        network_data_format=NetworkDataFormat(
            inputs={FRAMES: frames}, outputs={name: _format_of(name, facts) for name in outputs}
        ),
        usssl=facts,
    )


def _format_of(name: str, facts: UssslFacts) -> TensorFormat:
    kind, fmt, values = _FORMATS[name]
    by_class = name in {"plane_probs", "cine_probs"}
    channels = {"saliency": 1, WINDOW: 4}.get(name, len(facts.classes) if by_class else 0)
    return TensorFormat(
        type=kind,
        format=fmt,
        num_channels=channels,
        spatial_shape=("*", "*") if name == "saliency" else (),
        dtype="float32",
        value_range=values,
        channel_def={str(index): label for index, label in enumerate(facts.classes)} if by_class else {},
    )


def _version_of(distribution: str) -> str:
    try:
        return installed_version(distribution).partition("+")[0]
    except PackageNotFoundError:
        return ""


def _check_target(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()) and not (target / METADATA_FILE).is_file():
        raise OutputError(f"{target} holds something that is no bundle; choose another folder for the export")
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; choose a folder for the export")


def _write(target: Path, content: bytes, metadata: BundleMetadata, card: str) -> None:
    """Writes the bundle beside its place, opens it as a user would, and only then moves it there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            folder = Path(scratch) / "bundle"
            for name, data in (
                (MODEL_FILE, content),
                (METADATA_FILE, metadata.to_json().encode()),
                (CARD_FILE, card.encode()),
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            open_bundle(folder, device="cpu", threads=1)
            if target.exists():
                target.rename(Path(scratch) / "before")
            folder.rename(target)
    except OSError as error:
        raise OutputError(
            f"cannot write the bundle {target}: {error.strerror or error}; choose another folder"
        ) from None
