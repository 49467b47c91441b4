"""A tiny bundle whose every output can be worked out by hand, for the tests of bundles and of the napari plugin.

It is built with `onnx` alone, no torch. Its law, for frames uint8 (batch, time, height, width):

- window: the box of rows and columns that are brighter than 16 in any frame of the call, one for each batch element
  (the whole frame where all is dark); or `fixed_window`, if that is given and not empty.
- The window is resampled to 12 x 16 (height x width) by nearest pixel, scaled to 0..1: the image.
- plane_probs over (background, dark, bright): softmax of (1, 8 (0.5 - m), 8 (m - 0.5)), with m the mean of the image.
- saliency: softmax over the image's pixels of 8 times the image.
- embedding: mean, maximum and minimum of the image.
- cine_probs: mean of plane_probs over time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CLASSES = ("background", "dark", "bright")
SIZE = (12, 16)

_GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
tiny (uint8[batch,time,height,width] frames, float[1,4] fixed_window)
    => (float[batch,time,3] plane_probs, float[batch,time,12,16] saliency, float[batch,time,3] embedding,
        float[batch,3] cine_probs, float[batch,4] window)
<float[1,4] fixed_window = {0.0, 0.0, 0.0, 0.0}>
{
    shape = Shape (frames)
    i0 = Constant <value = int64[1] {0}> ()
    i1 = Constant <value = int64[1] {1}> ()
    i2 = Constant <value = int64[1] {2}> ()
    i3 = Constant <value = int64[1] {3}> ()
    batch = Gather (shape, i0)
    time = Gather (shape, i1)
    height = Gather (shape, i2)
    width = Gather (shape, i3)
    rows = Constant <value_int = 12> ()
    columns = Constant <value_int = 16> ()
    rows1 = Constant <value_ints = [12]> ()
    columns1 = Constant <value_ints = [16]> ()
    zero = Constant <value_float = 0.0> ()
    half = Constant <value_float = 0.5> ()
    one = Constant <value_float = 1.0> ()
    eight = Constant <value_float = 8.0> ()
    level = Constant <value_float = 16.0> ()
    full = Constant <value_float = 255.0> ()
    step0 = Constant <value_int = 0> ()
    step1 = Constant <value_int = 1> ()

    light = Cast <to = 1> (frames)
    over_time = ReduceMax <keepdims = 0> (light, i1)
    over_columns = ReduceMax <keepdims = 0> (over_time, i2)
    over_rows = ReduceMax <keepdims = 0> (over_time, i1)
    lit_y = Greater (over_columns, level)
    lit_x = Greater (over_rows, level)
    lit_yf = Cast <to = 1> (lit_y)
    lit_xf = Cast <to = 1> (lit_x)
    y0i = ArgMax <axis = 1, keepdims = 1> (lit_yf)
    y1i = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (lit_yf)
    x0i = ArgMax <axis = 1, keepdims = 1> (lit_xf)
    x1i = ArgMax <axis = 1, keepdims = 1, select_last_index = 1> (lit_xf)
    y0 = Cast <to = 1> (y0i)
    y1l = Cast <to = 1> (y1i)
    x0 = Cast <to = 1> (x0i)
    x1l = Cast <to = 1> (x1i)
    y1 = Add (y1l, one)
    x1 = Add (x1l, one)
    found_box = Concat <axis = 1> (x0, y0, x1, y1)
    any_lit = ReduceMax <keepdims = 1> (lit_yf, i1)
    is_lit = Greater (any_lit, zero)
    heightf = Cast <to = 1> (height)
    widthf = Cast <to = 1> (width)
    zero1 = Constant <value_floats = [0.0]> ()
    whole = Concat <axis = 0> (zero1, zero1, widthf, heightf)
    found = Where (is_lit, found_box, whole)
    fixed_x1 = Gather <axis = 1> (fixed_window, i2)
    fixed_x0 = Gather <axis = 1> (fixed_window, i0)
    is_fixed = Greater (fixed_x1, fixed_x0)
    window = Where (is_fixed, fixed_window, found)

    wx0 = Gather <axis = 1> (window, i0)
    wy0 = Gather <axis = 1> (window, i1)
    wx1 = Gather <axis = 1> (window, i2)
    wy1 = Gather <axis = 1> (window, i3)
    w = Sub (wx1, wx0)
    h = Sub (wy1, wy0)
    jr = Range (step0, columns, step1)
    ir = Range (step0, rows, step1)
    jf = Cast <to = 1> (jr)
    if = Cast <to = 1> (ir)
    jc = Add (jf, half)
    ic = Add (if, half)
    columnsf = Cast <to = 1> (columns)
    rowsf = Cast <to = 1> (rows)
    u = Div (jc, columnsf)
    v = Div (ic, rowsf)
    xr = Mul (w, u)
    yr = Mul (h, v)
    xa = Add (xr, wx0)
    ya = Add (yr, wy0)
    xfl = Floor (xa)
    yfl = Floor (ya)
    xmax = Sub (widthf, one)
    ymax = Sub (heightf, one)
    xlo = Max (xfl, zero)
    ylo = Max (yfl, zero)
    xhi = Min (xlo, xmax)
    yhi = Min (ylo, ymax)
    xi = Cast <to = 7> (xhi)
    yi = Cast <to = 7> (yhi)
    xs = Unsqueeze (xi, i1)
    ys = Unsqueeze (yi, i2)
    grid_shape = Concat <axis = 0> (batch, rows1, columns1)
    xg = Expand (xs, grid_shape)
    yg = Expand (ys, grid_shape)
    minus1 = Constant <value = int64[1] {-1}> ()
    ygr = Mul (yg, width)
    flat = Add (ygr, xg)
    flat_shape = Concat <axis = 0> (batch, i1, minus1)
    flat3 = Reshape (flat, flat_shape)
    pixels = Mul (rows1, columns1)
    index_shape = Concat <axis = 0> (batch, time, pixels)
    index = Expand (flat3, index_shape)
    light_shape = Concat <axis = 0> (batch, time, minus1)
    light3 = Reshape (light, light_shape)
    taken = GatherElements <axis = 2> (light3, index)
    image = Div (taken, full)

    mean = ReduceMean <keepdims = 1> (image, i2)
    top = ReduceMax <keepdims = 1> (image, i2)
    bottom = ReduceMin <keepdims = 1> (image, i2)
    embedding = Concat <axis = 2> (mean, top, bottom)
    above = Sub (mean, half)
    bright = Mul (above, eight)
    dark = Neg (bright)
    nought = Mul (mean, zero)
    background = Add (nought, one)
    logits = Concat <axis = 2> (background, dark, bright)
    plane_probs = Softmax <axis = 2> (logits)
    cine_probs = ReduceMean <keepdims = 0> (plane_probs, i1)
    heat = Mul (image, eight)
    heat_flat = Softmax <axis = 2> (heat)
    map_shape = Concat <axis = 0> (batch, time, rows1, columns1)
    saliency = Reshape (heat_flat, map_shape)
}
"""
_OUTPUT = {"planes": "plane_probs", "saliency": "saliency", "recognition": "cine_probs", "retrieval": "embedding"}
_CHANNELS = {"plane_probs": 3, "saliency": 1, "embedding": 3, "cine_probs": 3, "window": 4}


def make_tiny_bundle(
    folder: Path,
    task: Sequence[str] = ("planes", "saliency"),
    *,
    clip_frames: int = 1,
    clip_stride: int = 1,
    takes_window: bool = True,
) -> Path:
    """Writes the tiny bundle with the outputs of these tasks, and returns its folder."""
    import onnx

    model = onnx.parser.parse_model(_GRAPH)
    outputs = [_OUTPUT[name] for name in task] + ["window"]
    for node in [node for node in model.graph.output if node.name not in outputs]:
        model.graph.output.remove(node)
    if not takes_window:
        del model.graph.input[1]
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "models" / "model.onnx").write_bytes(content)
    (folder / "docs" / "README.md").write_text("# Tiny\n\nFor tests. For research use; not a medical device.\n")
    write_metadata(folder, tiny_metadata(content, task, outputs, clip_frames, clip_stride))
    return folder


def metadata_of(folder: Path) -> dict:
    """`configs/metadata.json` as a plain dictionary."""
    return json.loads((folder / "configs" / "metadata.json").read_text())


def write_metadata(folder: Path, metadata: dict) -> None:
    """Writes `configs/metadata.json`."""
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=2))


def tiny_metadata(
    content: bytes, task: Sequence[str], outputs: Sequence[str], clip_frames: int, clip_stride: int
) -> dict:
    """The metadata of the tiny bundle as a plain dictionary, so that a test can break it."""
    image = {"type": "image", "format": "magnitude", "spatial_shape": ["*", "*"], "is_patch_data": False}
    frames = {
        **image,
        "modality": "US",
        "num_channels": 1,
        "dtype": "uint8",
        "value_range": [0, 255],
        "channel_def": {"0": "grey"},
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "version": "0.0.1",
        "changelog": {"0.0.1": "first"},
        "monai_version": "1.6.0",
        "pytorch_version": "2.13.0",
        "numpy_version": np.__version__,
        "required_packages_version": {},
        "name": "Tiny",
        "task": "Tell bright frames from dark ones",
        "description": "A model that tests can work out by hand.",
        "authors": "usssl",
        "copyright": "Apache-2.0",
        "network_data_format": {
            "inputs": {"frames": frames},
            "outputs": {
                name: {**image, "num_channels": _CHANNELS[name], "dtype": "float32", "value_range": [0, 1]}
                for name in outputs
            },
        },
        "usssl": {
            "format": 1,
            "task": list(task),
            "classes": list(CLASSES) if {"planes", "recognition"} & set(task) else [],
            "size": list(SIZE),
            "clip": {"frames": clip_frames, "stride": clip_stride},
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    }


def tiny_image(frames: np.ndarray) -> np.ndarray:
    """The image that the tiny model sees, (T, 12, 16) in 0..1: the law above, in NumPy, for grey frames (T, H, W)."""
    x0, y0, x1, y1 = tiny_window(frames)
    rows = np.floor(y0 + (y1 - y0) * (np.arange(SIZE[0]) + 0.5) / SIZE[0]).astype(int)
    columns = np.floor(x0 + (x1 - x0) * (np.arange(SIZE[1]) + 0.5) / SIZE[1]).astype(int)
    return frames[:, rows][:, :, columns].astype(np.float32) / 255


def tiny_window(frames: np.ndarray) -> tuple[int, int, int, int]:
    """The window (x0, y0, x1, y1) that the tiny model finds on grey frames (T, H, W)."""
    lit = frames.max(axis=0) > 16
    if not lit.any():
        return 0, 0, frames.shape[2], frames.shape[1]
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """The usual softmax."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
