"""Opening a bundle: one sentence for each way in which a folder is not one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.bundles import make_tiny_bundle, metadata_of, write_metadata
from usssl.bundle import open_bundle, session
from usssl.bundle.onnx_file import external_data, pruned
from usssl.errors import BundleError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_bundle(tmp_path / "tiny")


def put_model(folder: Path, content: bytes) -> None:
    """Replaces the model and its hash, so that only the model itself can be refused."""
    (folder / "models/model.onnx").write_bytes(content)
    metadata = metadata_of(folder)
    metadata["usssl"]["sha256"] = hashlib.sha256(content).hexdigest()
    write_metadata(folder, metadata)


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_opens_and_says_what_it_does(folder: Path) -> None:
    bundle = open_bundle(folder, device="cpu")
    assert bundle.task == ("planes", "saliency")
    assert bundle.classes == ("background", "dark", "bright")
    assert bundle.outputs == ("plane_probs", "saliency")
    assert bundle.metadata.usssl.planes == ("dark", "bright")
    assert bundle.metadata.usssl.size == (12, 16)


def test_missing_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_a_file_is_no_bundle(folder: Path) -> None:
    assert "not a folder" in refusal(folder / "models/model.onnx")


def test_a_folder_without_metadata_is_no_bundle(tmp_path: Path) -> None:
    assert "is not a bundle" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{", "", "\ufffe\x00", "[" * 100_000])
def test_damaged_json(folder: Path, text: str) -> None:
    (folder / "configs/metadata.json").write_text(text)
    assert "not JSON" in refusal(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"usssl": 3}', '{"version": "0.1"}'])
def test_metadata_of_another_program(folder: Path, text: str) -> None:
    (folder / "configs/metadata.json").write_text(text)
    assert "no block `usssl`" in refusal(folder)


def test_missing_model(folder: Path) -> None:
    (folder / "models/model.onnx").unlink()
    assert "no models/model.onnx" in refusal(folder)


def test_changed_model(folder: Path) -> None:
    model = folder / "models/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    assert "sha256 differs" in refusal(folder)


def test_oversize_model_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "models/model.onnx").open("r+b") as file:
        file.truncate(session.MAX_MODEL_BYTES + 1)  # sparse: takes no room on the disk
    assert "more than an ONNX file can hold" in refusal(folder)


def test_unknown_task_names_the_known_ones(folder: Path) -> None:
    metadata = metadata_of(folder)
    metadata["usssl"]["task"] = ["planes", "fortune"]
    write_metadata(folder, metadata)
    assert "unknown task 'fortune'" in refusal(folder)
    assert "saliency" in refusal(folder)


def test_format_of_the_future(folder: Path) -> None:
    metadata = metadata_of(folder)
    metadata["usssl"]["format"] = 2
    write_metadata(folder, metadata)
    assert "update usssl" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("classes", ["a", "b", "a"], "same name"),
        ("classes", ["a", "b", "time_s"], "time_s"),
        ("size", [0, 5], "usssl.size.0"),
        ("sha256", "abc", "usssl.sha256"),
        ("clip", {"frames": 0, "stride": 1}, "usssl.clip.frames"),
        ("colour", "grey", "usssl.colour"),
    ],
)
def test_wrong_values_are_named(folder: Path, key: str, value: object, says: str) -> None:
    metadata = metadata_of(folder)
    metadata["usssl"][key] = value
    write_metadata(folder, metadata)
    assert says in refusal(folder)


def test_a_required_monai_field_is_missing(folder: Path) -> None:
    metadata = metadata_of(folder)
    del metadata["network_data_format"]
    write_metadata(folder, metadata)
    assert "network_data_format" in refusal(folder)


def test_model_that_onnxruntime_refuses(folder: Path) -> None:
    model = onnx.load(folder / "models/model.onnx")
    model.graph.node[-1].op_type = "NoSuchOperator"
    put_model(folder, model.SerializeToString())
    assert "refuses the model" in refusal(folder)
    put_model(folder, b"GIF89a is no ONNX file")
    assert "refuses the model" in refusal(folder)


def test_model_without_the_output_of_its_task(folder: Path, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / "other", task=("retrieval",))
    put_model(folder, (other / "models/model.onnx").read_bytes())
    assert "lacks the output plane_probs" in refusal(folder)


def test_classes_that_do_not_fit_the_model(folder: Path) -> None:
    metadata = metadata_of(folder)
    metadata["usssl"]["classes"] = ["one", "two"]
    write_metadata(folder, metadata)
    assert "tells 3 classes apart but its metadata names 2" in refusal(folder)


def test_model_with_another_input(folder: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[n] pixels) => (float[n] y) { y = Identity(pixels) }'
    )
    put_model(folder, model.SerializeToString())
    assert "pixels tensor(float)" in refusal(folder)


def test_external_data_is_refused(folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / "models/model.onnx")
    weights = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "weights")
    model.graph.initializer.append(weights)
    onnx.external_data_helper.convert_model_to_external_data(model, location="secret.data", size_threshold=0)
    put_model(folder, model.SerializeToString())
    assert "another file ('secret.data')" in refusal(folder)


def test_external_data_is_found_wherever_a_tensor_can_hide() -> None:
    tensor = onnx.TensorProto(name="t", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value="../../etc/hosts")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    branch = onnx.helper.make_graph([constant], "branch", [], [])
    choice = onnx.helper.make_node("If", ["cond"], ["y"], then_branch=branch, else_branch=branch)
    sparse = onnx.SparseTensorProto(values=tensor)
    function = onnx.FunctionProto(name="f", node=[constant])
    models = [
        onnx.helper.make_model(onnx.helper.make_graph([constant], "g", [], [])),
        onnx.helper.make_model(onnx.helper.make_graph([choice], "g", [], [])),
        onnx.helper.make_model(onnx.GraphProto(name="g", sparse_initializer=[sparse])),
        onnx.ModelProto(functions=[function]),
        onnx.ModelProto(training_info=[onnx.TrainingInfoProto(algorithm=onnx.GraphProto(initializer=[tensor]))]),
    ]
    assert [external_data(model.SerializeToString()) for model in models] == ["../../etc/hosts"] * 5


def test_weights_inside_are_no_external_data(folder: Path) -> None:
    assert external_data((folder / "models/model.onnx").read_bytes()) == ""
    assert external_data(b"\xff" * 100) == ""


def test_a_pruned_model_is_what_onnx_extracts(folder: Path, tmp_path: Path) -> None:
    """The reference is `onnx.utils.extract_model`, which finds the nodes by walking the graph of parsed messages."""
    model = folder / "models/model.onnx"
    onnx.utils.extract_model(model, tmp_path / "part.onnx", ["frames", "fixed_window"], ["window"])
    reference = onnx.load(tmp_path / "part.onnx").graph
    found = onnx.load_from_string(pruned(model.read_bytes(), ["window"])).graph
    onnx.checker.check_model(onnx.load_from_string(pruned(model.read_bytes(), ["window"])), full_check=True)
    assert {node.output[0] for node in found.node} == {node.output[0] for node in reference.node}
    assert len(found.node) < len(onnx.load(model).graph.node)
    assert [output.name for output in found.output] == ["window"]
    assert [value.name for value in found.input] == ["frames", "fixed_window"]
    assert [tensor.name for tensor in found.initializer] == ["fixed_window"]


def test_pruning_keeps_what_inner_graphs_read() -> None:
    text = """<ir_version: 9, opset_import: ["": 18]>
    g (float[2] x, bool c) => (float[2] y, float[2] z) <float[2] used = {1.0, 2.0}, float[2] unused = {3.0, 4.0}> {
        double = Add (x, x)
        y = If (c) <
            then_branch = t () => (float[2] a) { a = Add (double, used) },
            else_branch = e () => (float[2] b) { b = Identity (x) }
        >
        z = Mul (x, unused)
    }"""
    model = onnx.parser.parse_model(text)
    part = onnx.load_from_string(pruned(model.SerializeToString(), ["y"]))
    onnx.checker.check_model(part, full_check=True)
    assert [node.op_type for node in part.graph.node] == ["Add", "If"]
    assert [tensor.name for tensor in part.graph.initializer] == ["used"]
    assert pruned(model.SerializeToString(), ["y", "z"]) == model.SerializeToString()
