from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.cine import sector
from usssl.models.preprocess import FramePreprocess, content_boxes, crop_windows, luma, resample

REAL = [
    "fetal_planes/images/3vv.jpg",
    "fetal_planes/images/lvot.jpg",
    "fetal_planes/hc18/000_HC.png",
    "us_misc/files/gastroc_jumping_048.png",
]


def scene(batch: int, time: int, height: int, width: int, seed: int) -> np.ndarray:
    """Blurred noise with black parts: a different image in every sample."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 60, (batch, time, height, width))
    ground = cv2.resize(rng.normal(0, 90, (5, 7)), (width, height), interpolation=cv2.INTER_CUBIC)
    offset = rng.normal(0, 60, (batch, 1, 1, 1))
    return np.clip(ground + noise + offset, 0, 255).astype(np.uint8)


def numpy_twin(frames: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    boxes = [sector.content_box(cine) for cine in frames]
    windows = [sector.crop_window(box, size) for box in boxes]
    grey = [sector.resample(cine, window, size) for cine, window in zip(frames, windows, strict=True)]
    return np.array(windows), np.stack(grey)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_boxes_windows_and_values_are_those_of_the_numpy_side(
    batch: int, time: int, height: int, width: int, seed: int
) -> None:
    frames, size = scene(batch, time, height, width, seed), (28, 36)
    values, windows = FramePreprocess(size, mean=0.0, std=1 / 255)(torch.from_numpy(frames))
    expected_windows, expected = numpy_twin(frames, size)
    boxes = content_boxes(torch.from_numpy(frames)).numpy()
    assert [tuple(box) for box in boxes] == [sector.content_box(cine) for cine in frames]
    assert values.shape == (batch, time, 1, *size)
    assert np.abs(windows.numpy() - expected_windows).max() < 1e-3
    assert np.abs(values[:, :, 0].numpy() - expected).max() <= 1


@pytest.mark.parametrize("name", REAL)
def test_real_frames_give_the_boxes_and_values_of_the_numpy_side(test_data: Path, name: str) -> None:
    frames = cv2.imread(str(test_data / name), cv2.IMREAD_GRAYSCALE)[None, None]
    values, windows = FramePreprocess((112, 144), mean=0.0, std=1 / 255)(torch.from_numpy(frames))
    expected_windows, expected = numpy_twin(frames, (112, 144))
    assert np.abs(windows.numpy() - expected_windows).max() < 1e-3
    assert np.abs(values[:, :, 0].numpy() - expected).max() <= 1


def test_values_are_normalised() -> None:
    values, _ = FramePreprocess((8, 8), mean=0.2, std=0.1)(torch.full((1, 1, 16, 16), 102, dtype=torch.uint8))
    assert values == pytest.approx(2.0, abs=1e-5)  # (102 / 255 - 0.2) / 0.1


def test_without_cropping_the_whole_frame_is_fitted_in() -> None:
    frames = torch.zeros(1, 1, 60, 80, dtype=torch.uint8)
    frames[..., 10:50, 10:40] = 200
    _, cropped = FramePreprocess((30, 40), 0.0, 1.0)(frames)
    _, whole = FramePreprocess((30, 40), 0.0, 1.0, crop=False)(frames)
    assert whole.tolist() == [[0, 0, 80, 60]]
    assert cropped[0, 3] - cropped[0, 1] < 50


def test_each_sample_has_its_own_window() -> None:
    frames = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    frames[0, :, :, :32] = 100
    frames[1, :, 32:, :] = 100
    assert content_boxes(frames).tolist() == [[0, 0, 32, 64], [0, 32, 64, 64]]


def test_identity_window_returns_the_frame() -> None:
    frames = torch.from_numpy(scene(1, 2, 12, 20, 3))
    windows = crop_windows(torch.tensor([[0, 0, 20, 12]]), (12, 20))
    assert torch.allclose(resample(frames, windows, (12, 20)), frames.float(), atol=1e-3)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[FramePreprocess, object]:
    runtime = pytest.importorskip("onnxruntime")
    module = FramePreprocess((112, 144), mean=0.17, std=0.19).eval()
    batch, time, height, width = (torch.export.Dim(name) for name in ("batch", "time", "height", "width"))
    path = tmp_path_factory.mktemp("onnx") / "preprocess.onnx"
    program = torch.onnx.export(
        module,
        (torch.zeros(2, 3, 120, 160, dtype=torch.uint8),),
        dynamo=True,
        external_data=False,
        opset_version=18,
        input_names=["frames"],
        output_names=["values", "window"],
        dynamic_shapes=({0: batch, 1: time, 2: height, 3: width},),
        verbose=False,
    )
    assert program is not None
    program.save(str(path))
    return module, runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (1, 1, 2, 3), (2, 1, 3, 200), (3, 2, 64, 65), (1, 4, 240, 320), (1, 1, 960, 1280), (2, 5, 111, 97)],
)
def test_exported_graph_equals_torch_at_every_size(
    exported: tuple[FramePreprocess, object], shape: tuple[int, ...]
) -> None:
    assert_parity(exported, scene(*shape, seed=sum(shape)))


@pytest.mark.parametrize("name", REAL)
def test_exported_graph_equals_torch_on_real_frames(
    exported: tuple[FramePreprocess, object], test_data: Path, name: str
) -> None:
    assert_parity(exported, cv2.imread(str(test_data / name), cv2.IMREAD_GRAYSCALE)[None, None])


def assert_parity(exported: tuple[FramePreprocess, object], frames: np.ndarray) -> None:
    module, session = exported
    values, windows = session.run(None, {"frames": frames})  # type: ignore[attr-defined]
    expected, expected_windows = module(torch.from_numpy(frames))
    assert np.abs(windows - expected_windows.numpy()).max() < 1e-3
    assert np.abs(values - expected.numpy()).max() < 1e-4


@given(st.integers(1, 2), st.integers(1, 3), st.integers(20, 200), st.integers(20, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_rgb_is_cropped_and_resampled_as_by_the_numpy_side(
    batch: int, time: int, height: int, width: int, seed: int
) -> None:
    colours = [scene(batch, time, height, width, seed + i) for i in range(3)]
    frames, size = np.stack(colours, axis=-1), (28, 36)
    frames[..., 0] //= 3  # the box is found on luma, whose weights then show
    values, windows = FramePreprocess(size, mean=0.0, std=1 / 255)(torch.from_numpy(frames))
    grey = [np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in cine]) for cine in frames]
    expected = [sector.crop_window(sector.content_box(cine), size) for cine in grey]
    assert np.abs(windows.numpy() - np.array(expected)).max() < 1e-3
    assert values.shape == (batch, time, 3, *size)
    for cine, window, found in zip(frames, expected, values.numpy(), strict=True):
        resampled = sector.resample(cine, window, size).transpose(0, 3, 1, 2)
        assert np.abs(found - resampled).max() <= 1


def test_luma_is_opencvs() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    np.testing.assert_array_equal(luma(torch.from_numpy(rgb)).numpy(), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
