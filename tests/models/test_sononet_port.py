"""SonoNet's public PyTorch port: its state dicts load, and give what the port gives."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models.references import liven
from usssl.errors import UsageError
from usssl.models import encoders
from usssl.models.sononet_port import from_port, read_port

LAYOUT = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
PLANES = (
    "3VV", "4CH", "ABDOMINAL", "BACKGROUND", "BRAIN-CB", "BRAIN-TV", "FEMUR", "KIDNEYS", "LIPS", "LVOT", "PROFILE",
    "RVOT", "SPINE-CORONAL", "SPINE-SAGITTAL",
)  # fmt: skip


class Port(nn.Module):
    """The names and shapes of the port's state dict: `features.block.place.layer`, and the classifier `adaption`."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        blocks, before = [], 1
        for number, (multiple, places) in enumerate(LAYOUT):
            block: list[nn.Module] = []
            for _ in range(places):
                after = multiple * filters
                convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
                block.append(nn.Sequential(convolution, nn.BatchNorm2d(after, eps=1e-4), nn.ReLU()))
                before = after
            blocks.append(nn.Sequential(*block, *([nn.MaxPool2d(2)] if number < len(LAYOUT) - 1 else [])))
        self.features = nn.Sequential(*blocks)
        self.adaption = nn.Sequential(
            nn.Conv2d(before, before // 2, 1, bias=False),
            nn.BatchNorm2d(before // 2),
            nn.ReLU(),
            nn.Conv2d(before // 2, len(PLANES), 1, bias=False),
            nn.BatchNorm2d(len(PLANES)),
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.adaption(self.features(frames)).mean((2, 3))


def port(filters: int) -> Port:
    torch.manual_seed(0)
    network = Port(filters)
    liven(network)
    return network


@pytest.mark.parametrize(("name", "filters"), [("sononet16", 16), ("sononet32", 32), ("sononet64", 64)])
def test_a_state_dict_of_the_port_gives_the_ports_features(name: str, filters: int, tmp_path: Path) -> None:
    reference = port(filters)
    torch.save(reference.state_dict(), tmp_path / "SonoNet.pth")
    encoder = encoders.build(name).eval()
    encoder.load_state_dict(read_port(tmp_path / "SonoNet.pth"))
    frames = torch.randn(2, 1, 48, 64)
    with torch.inference_mode():
        expected = reference.features(255 * frames)  # the port's frames: about unit variance, times 255
        torch.testing.assert_close(encoder.features(frames[None])[0], expected, atol=1e-3, rtol=1e-4)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'fc.weight' is no name of the PyTorch port"):
        from_port(nn.ModuleDict({"fc": nn.Linear(2, 2)}).state_dict())
    with pytest.raises(UsageError, match=r"lack the port's features.0.0.0.weight"):
        from_port({})
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UsageError, match=r"cannot read the SonoNet weights .*broken.pth"):
        read_port(tmp_path / "broken.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UsageError, match=r"holds no state dict"):
        read_port(tmp_path / "list.pth")


@pytest.mark.parametrize(
    "content", [b"", b"no weights", b"seed: 0\n", b"\x80\x02c\xcf\n", "cut", "models"], ids=lambda content: str(content)
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_own_sentence(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    if content == "models":
        torch.save(nn.Linear(2, 2), path)
    elif isinstance(content, str):
        torch.save(port(16).state_dict(), path)
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_port(path)
    said = "it is damaged or no checkpoint of tensors; give a .pth file of the port"
    assert str(refused.value) == f"cannot read the SonoNet weights {path}: {said}"


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.pth: No such file or directory; give a .pth file of the port"):
        read_port(tmp_path / "none.pth")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"features.0.0.0.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(UsageError, match=r"cannot read the SonoNet weights"):
        read_port(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def checkout() -> Path:
    folder = os.environ.get("USSSL_SONONET_PORT")
    if not folder:
        pytest.skip("set USSSL_SONONET_PORT to a copy of rdroste/SonoNet_PyTorch")
    return Path(folder)


def test_the_real_weights_name_real_planes(checkout: Path) -> None:
    """12 of the port's 13 images, with features from our encoder and the port's own classifier behind them."""
    state = torch.load(checkout / "sononet" / "SonoNet16.pth", weights_only=True)
    reference = Port(16)
    reference.load_state_dict(state)
    reference.eval()
    encoder = encoders.build("sononet16").eval()
    encoder.load_state_dict(read_port(checkout / "sononet" / "SonoNet16.pth"))
    named = []
    for path in sorted((checkout / "example_images").glob("*.tiff")):
        frame = example(path)
        with torch.inference_mode():
            features = encoder.features(frame[None])[0]
            torch.testing.assert_close(features, reference.features(255 * frame), atol=1e-3, rtol=1e-3)
            found = reference.adaption(features).mean((2, 3)).argmax().item()
        named.append(PLANES[int(found)] == path.stem)
    assert len(named) == 13
    assert sum(named) >= 12


def example(path: Path) -> Tensor:
    """As the port's example cuts, resizes and normalises an image."""
    image = cv2.imread(str(path))
    cut = cv2.resize(image[115:734, 81:874], (224, 288), interpolation=cv2.INTER_CUBIC).astype(np.float32).mean(2)
    return torch.from_numpy((cut - cut.mean()) / cut.std())[None, None]
