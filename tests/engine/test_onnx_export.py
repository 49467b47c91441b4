"""Export: the bundle gives what PyTorch gives on frames of any size, or nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from usssl.bundle import open_bundle
from usssl.engine.model_card import CardFacts, CardMetric
from usssl.engine.onnx_export import export_model
from usssl.errors import BundleError, OutputError, UsageError
from usssl.models.preprocess import FramePreprocess

SIZE = (28, 36)
CLASSES = ("background", "head", "femur")
CARD = CardFacts(
    name="Test planes",
    task="Names the standard plane of each frame.",
    description="A network of random weights.",
    data="Noise.",
    method="None.",
    metrics=(CardMetric("macro F1", 0.5, 0.4, 0.6, "2 test patients"), CardMetric("accuracy", 0.25)),
    limits=("It knows nothing.",),
)


class PlaneAndSaliency(nn.Module):
    """A small frame model with every output that a bundle can have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.preprocess = FramePreprocess(SIZE, mean=0.2, std=0.2)
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.planes = nn.Linear(8, len(CLASSES))
        self.map = nn.Conv2d(8, 1, 1)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        batch, time = frames.shape[:2]
        images, window = self.preprocess(frames)
        features = self.encoder(images.flatten(0, 1))
        embedding = features.mean(dim=(2, 3))
        heat = self.map(features).flatten(1).mul(4).softmax(1).view(batch, time, features.shape[2], features.shape[3])
        probs = self.planes(embedding).mul(5).softmax(1).view(batch, time, len(CLASSES))
        return {
            "plane_probs": probs,
            "saliency": heat,
            "embedding": embedding.view(batch, time, -1),
            "cine_probs": probs.mean(1),
            "window": window,
        }


class Refused(PlaneAndSaliency):
    """Its outputs depend on whether it is being exported: the graph will not give what PyTorch gives."""

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        found = super().forward(frames)
        if torch.compiler.is_compiling():
            found["saliency"] = found["saliency"].flip(3)
        return found


def screen(frames: int, height: int, width: int, box: tuple[int, int, int, int], seed: int = 0) -> np.ndarray:
    """Moving speckle in a box of a black screen."""
    rng = np.random.default_rng(seed)
    x0, y0, x1, y1 = box
    cine = np.zeros((frames, height, width), np.uint8)
    cine[:, y0:y1, x0:x1] = rng.rayleigh(50, (frames, y1 - y0, x1 - x0)).clip(8, 255)
    return cine


EXAMPLES = [
    screen(6, 120, 160, (20, 16, 140, 110)),
    screen(9, 240, 200, (30, 40, 190, 220), 1),
    screen(4, 64, 64, (0, 0, 64, 64)),
]


def export(model: nn.Module, out: Path, **changes: object) -> Path:
    arguments = {
        "task": ("planes", "saliency"),
        "classes": CLASSES,
        "size": SIZE,
        "example_frames": EXAMPLES,
        "card": CARD,
        **changes,
    }
    return export_model(model, out, **arguments)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return PlaneAndSaliency().eval()


@pytest.fixture(scope="module")
def folder(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model, tmp_path_factory.mktemp("export") / "bundle")


@pytest.mark.parametrize(("height", "width", "frames"), [(97, 131, 5), (300, 180, 1), (40, 50, 40)])
def test_bundle_gives_what_pytorch_gives(folder: Path, model: nn.Module, height: int, width: int, frames: int) -> None:
    cine = screen(frames, height, width, (4, 5, width - 6, height - 3), seed=7)
    with torch.inference_mode():
        truth = {name: value[0].numpy() for name, value in model(torch.from_numpy(cine[None])).items()}
    p = open_bundle(folder, device="cpu", threads=1).predict(cine, batch_frames=16)
    np.testing.assert_allclose(p.window, truth["window"], atol=1e-3)
    np.testing.assert_allclose(p.plane_probs, truth["plane_probs"], atol=1e-4)
    np.testing.assert_allclose(p.saliency, truth["saliency"], atol=1e-5)
    np.testing.assert_allclose(p.embedding, truth["embedding"], atol=1e-4)
    np.testing.assert_allclose(p.cine_probs, truth["cine_probs"], atol=1e-4)


def test_the_window_can_be_fixed(folder: Path, model: nn.Module) -> None:
    """Frames 0 to 3 show a small image; with the window of the whole cine they give what they give within it."""
    cine = screen(8, 120, 160, (20, 16, 140, 110))
    cine[:4, :60] = 0
    with torch.inference_mode():
        truth = {name: value[0].numpy() for name, value in model(torch.from_numpy(cine[None])).items()}
        alone = model(torch.from_numpy(cine[None, :4]))
    bundle = open_bundle(folder, device="cpu", threads=1)
    assert bundle.session.takes_window
    p = bundle.predict(cine, batch_frames=4)
    np.testing.assert_allclose(p.plane_probs, truth["plane_probs"], atol=1e-4)
    assert np.abs(alone["window"][0].numpy() - p.window).max() > 10


def test_parity_is_measured_on_every_output_and_size(folder: Path) -> None:
    parity = open_bundle(folder, device="cpu").metadata.usssl.parity
    assert parity is not None
    assert set(parity.max_abs_error) == {"plane_probs", "saliency", "embedding", "cine_probs", "window"}
    assert all(0 <= error < 1e-3 for error in parity.max_relative_error.values())
    assert parity.max_abs_error["plane_probs"] > 0
    assert set(parity.sizes) == {(64, 64), (120, 160), (240, 200), (120 - 17, 160 - 32)}
    assert {(1, 6), (1, 1), (2, 3)} <= set(parity.batches)


def test_metadata_holds_the_fields_of_the_monai_schema(folder: Path) -> None:
    metadata = json.loads((folder / "configs/metadata.json").read_text())
    required = (
        "schema version monai_version pytorch_version numpy_version required_packages_version task description authors "
        "copyright network_data_format"
    )  # `required` of meta_schema_20240725.json
    assert set(required.split()) <= set(metadata)
    assert metadata["pytorch_version"] == torch.__version__.partition("+")[0]
    formats = metadata["network_data_format"]
    assert list(formats["inputs"]) == ["frames"]
    tensor = {"type": str, "format": str, "num_channels": int, "spatial_shape": list, "dtype": str, "value_range": list}
    for described in [*formats["inputs"].values(), *formats["outputs"].values()]:
        assert all(isinstance(described[key], kind) for key, kind in tensor.items())
    assert formats["outputs"]["plane_probs"]["channel_def"] == {"0": "background", "1": "head", "2": "femur"}


def test_model_card(folder: Path) -> None:
    card = (folder / "docs/README.md").read_text()
    assert "not a medical device" in card
    assert "| macro F1 | 0.500 | 0.400 to 0.600 | 2 test patients |" in card
    assert "| accuracy | 0.250 | not measured |" in card
    for part in ("Noise.", "It knows nothing.", "28 × 36", "background, head, femur", "120 × 160"):
        assert part in card


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = PlaneAndSaliency().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, tmp_path / "b", example_frames=EXAMPLES[:1])
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_graph_that_differs_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="saliency is off by"):
        export(Refused(), tmp_path / "b", example_frames=EXAMPLES[:1])
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = PlaneAndSaliency()
    with torch.no_grad():
        model.planes.weight[:] = float("nan")
    with pytest.raises(BundleError, match="plane_probs is not finite"):
        export(model, tmp_path / "b", example_frames=EXAMPLES[:1])


def test_wrong_arguments(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task 'horoscope'"):
        export(model, tmp_path / "b", task=("horoscope",))
    with pytest.raises(UsageError, match="example frames"):
        export(model, tmp_path / "b", example_frames=[])
    with pytest.raises(UsageError, match="uint8"):
        export(model, tmp_path / "b", example_frames=[np.zeros((3, 8, 8), np.float32)])


def test_a_model_without_its_tasks_output(tmp_path: Path) -> None:
    class NoSaliency(PlaneAndSaliency):
        def forward(self, frames: Tensor) -> dict[str, Tensor]:
            found = super().forward(frames)
            del found["saliency"]
            return found

    with pytest.raises(BundleError, match="gives no saliency"):
        export(NoSaliency(), tmp_path / "b")


def test_an_older_bundle_is_replaced_and_nothing_else(model: nn.Module, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    shutil.copytree(folder, out)
    first = (out / "models/model.onnx").stat().st_ino
    export(model, out, example_frames=EXAMPLES[:1])
    assert (out / "models/model.onnx").stat().st_ino != first
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"x")
    with pytest.raises(OutputError, match="no bundle"):
        export(model, other, example_frames=EXAMPLES[:1])
    assert (other / "cat.jpg").exists()
