"""A bundle of RGB, worked out by hand: grey cines are repeated, colours pass as they are, clips are averaged alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.bundles import softmax, tiny_metadata, write_metadata
from usssl.bundle import Bundle, open_bundle, stream
from usssl.bundle.pictures import ImagePart
from usssl.cine.sector import Box


def make_graph() -> onnx.ModelProto:
    """plane_probs: softmax of 8 times the mean red, green and blue, each 0 to 1; window: the whole frame."""
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    constants = {
        "across": np.array([2, 3]),
        "full": np.array(255 / 8, np.float32),
        "batch_axis": np.array([0]),
        "sides": np.array([3, 2]),
        "four": np.array([4]),
    }
    graph = onnx.helper.make_graph(
        [
            node("Cast", ["frames"], ["light"], to=onnx.TensorProto.FLOAT),
            node("ReduceMean", ["light", "across"], ["mean"], keepdims=0),
            node("Div", ["mean", "full"], ["logits"]),
            node("Softmax", ["logits"], ["plane_probs"], axis=2),
            node("Shape", ["frames"], ["shape"]),
            node("Gather", ["shape", "sides"], ["far"]),
            node("Sub", ["far", "far"], ["near"]),
            node("Concat", ["near", "far"], ["whole"], axis=0),
            node("Cast", ["whole"], ["corners"], to=onnx.TensorProto.FLOAT),
            node("Gather", ["shape", "batch_axis"], ["batch"]),
            node("Concat", ["batch", "four"], ["window_shape"], axis=0),
            node("Expand", ["corners", "window_shape"], ["window"]),
        ],
        "colours",
        [tensor("frames", onnx.TensorProto.UINT8, ["batch", "time", "height", "width", 3])],
        [
            tensor("plane_probs", onnx.TensorProto.FLOAT, ["batch", "time", 3]),
            tensor("window", onnx.TensorProto.FLOAT, ["batch", 4]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(params=[(1, 1), (4, 2)], ids=["frames", "clips"])
def bundle(tmp_path: Path, request: pytest.FixtureRequest) -> Bundle:
    model = make_graph()
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    for name in ("configs", "models", "docs"):
        (tmp_path / name).mkdir()
    (tmp_path / "models" / "model.onnx").write_bytes(content)
    (tmp_path / "docs" / "README.md").write_text("# Colours\n")
    metadata = tiny_metadata(content, ("planes",), ("plane_probs", "window"), *request.param)
    assert metadata["usssl"]["sha256"] == hashlib.sha256(content).hexdigest()
    write_metadata(tmp_path, metadata)
    return open_bundle(tmp_path, device="cpu", threads=1)


def test_colours_pass_as_they_are(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bundle.session.colour
    cine = np.random.default_rng(0).integers(0, 256, (21, 12, 16, 3), dtype=np.uint8)
    cine[:7, ..., 0] = 255
    expected = softmax(cine.mean(axis=(1, 2)) * 8 / 255)
    found = bundle.predict(cine, batch_frames=6)
    np.testing.assert_allclose(found.plane_probs, expected, atol=1e-5)
    assert found.window == (0, 0, 16, 12)
    monkeypatch.setattr(stream, "PIECE_BYTES", 3 * 12 * 16)  # a frame at a time
    np.testing.assert_allclose(bundle.predict(cine).plane_probs, expected, atol=1e-5)


def test_grey_is_repeated(bundle: Bundle) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (9, 12, 16), dtype=np.uint8)
    found = bundle.predict(grey)
    np.testing.assert_allclose(found.plane_probs, np.full((9, 3), 1 / 3), atol=1e-6)


def test_pictures_show_colours_in_grey() -> None:
    part = ImagePart(Box(1, 0, 3, 2), np.array([[True, True], [True, False]]))
    frame = np.zeros((2, 4, 3), np.uint8)
    frame[0, 1], frame[0, 2], frame[1, 1], frame[1, 2] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    assert part.cut(frame).tolist() == [[76, 150], [29, 0]]  # 0.299, 0.587 and 0.114 of 255; the last is hidden
