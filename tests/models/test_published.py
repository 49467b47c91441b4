"""The encoders are the published networks: parameter counts, and outputs of other packages with copied weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models.references import copy_weights, liven, parameters, torchvision_models
from usssl.models import encoders
from usssl.models.encoders import Encoder
from usssl.models.se_resnext import SEResNeXt

CLASSES = 400
PUBLISHED = {
    # name: (channels, classes of the published network, published parameters with its classifier, source)
    "resnet18": (3, 1000, 11_689_512, "torchvision, ResNet18_Weights"),
    "resnet50": (3, 1000, 25_557_032, "torchvision, ResNet50_Weights"),
    "r3d18": (3, CLASSES, 33_371_472, "torchvision, R3D_18_Weights"),
    "r2plus1d18": (3, CLASSES, 31_505_325, "torchvision, R2Plus1D_18_Weights"),
    "s3d": (3, CLASSES, 8_320_048, "torchvision, S3D_Weights"),
    "r3d50": (3, 0, 31_672_128, "methods/cvrl, section 4; 31.7 M in CVRL's readme"),
}
ROUNDED = {
    # name: (channels, classes, published parameters, rounded to, source)
    "slowonly50": (3, CLASSES, 32.45, 2, "PyTorchVideo model zoo, Slow R50 8x8"),
    "seresnext50_half": (1, 0, 7.4, 1, "Droste et al. 2019; methods/order_transform"),
}
HAND = {
    # SonoNet by hand: 9 in out for each convolution, 2 out for its normalisation
    "sononet16": sum(9 * a * b + 2 * b for a, b in [
        (1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 64),
        (64, 128), (128, 128), (128, 128), (128, 128), (128, 128), (128, 128),
    ]),
}  # fmt: skip


def built(name: str, channels: int) -> Encoder:
    with torch.device("meta"):
        return encoders.build(name, channels=channels)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_number(name: str) -> None:
    channels, classes, published, _ = PUBLISHED[name]
    encoder = built(name, channels)
    assert parameters(encoder) + (encoder.dim + 1) * classes == published


@pytest.mark.parametrize("name", ROUNDED)
def test_parameters_round_to_the_published_number(name: str) -> None:
    channels, classes, published, digits, _ = ROUNDED[name]
    encoder = built(name, channels)
    assert round((parameters(encoder) + (encoder.dim + 1) * classes) / 1e6, digits) == published


@pytest.mark.parametrize("name", encoders.names())
def test_the_parameters_that_docstring_and_page_state_are_counted(name: str, repository: Path) -> None:
    counted = f"{parameters(built(name, 3)) / 1e6:.1f}"
    stated = re.findall(r"([\d.]+) M parameters", encoders._BUILDERS[name].__doc__ or "")
    assert stated == [] if name.startswith("sononet") else stated == [counted]
    page = (repository / "docs" / "encoders.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if f"`{name}`" in row[1] and len(row) == 9]  # seven columns, between two bars
    assert row[6].removesuffix(" M").split(", ")[re.findall(r"`(\w+)`", row[1]).index(name)] == counted


def test_two_streams_of_i3d_have_the_published_number() -> None:
    """25 M for RGB and optical flow together: Carreira & Zisserman 2017, table 1."""
    colours, flow = built("i3d", 3), built("i3d", 2)
    assert round((parameters(colours) + parameters(flow) + 2 * (1024 + 1) * CLASSES) / 1e6) == 25


def test_sononet_has_the_parameters_of_its_layout() -> None:
    assert parameters(built("sononet16", 1)) == HAND["sononet16"]


def test_r3d50_has_the_shapes_of_its_table() -> None:
    encoder = encoders.build("r3d50", channels=3, width=0.125).eval()
    shapes = []
    with torch.inference_mode():
        for maps in encoder.maps(torch.zeros(1, 16, 3, 224, 224)):
            shapes.append(tuple(maps.shape[i] for i in (1, 3, 4)))
    assert shapes == [(8, 56, 56), (8, 56, 56), (8, 28, 28), (8, 14, 14), (8, 7, 7)]
    assert encoder.dim == 2048 // 8


def test_the_half_seresnext_has_the_maps_of_its_table() -> None:
    encoder = encoders.build("seresnext50_half", width=0.25).eval()
    with torch.inference_mode():
        assert encoder.features(torch.zeros(1, 1, 1, 224, 288)).shape[-2:] == (28, 36)
    grouped = {m.groups for m in built("seresnext50_half", 1).modules() if isinstance(m, nn.Conv2d)}
    assert grouped == {1, 16}


def frames() -> Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def volumes(time: int = 8) -> Tensor:
    return torch.randn(1, 3, time, 64, 64, generator=torch.Generator().manual_seed(0))


def body(network: nn.Module, *heads: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(heads)}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_frame_resnets_are_torchvisions_under_the_same_names(name: str) -> None:
    reference = liven(getattr(torchvision_models(), name)())
    encoder = encoders.build(name, channels=3).eval()
    encoder.load_state_dict(body(reference, "fc"))
    reference.fc = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(encoder(frames()[None])[0], reference(frames()), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("name", "theirs"), [("r3d18", "r3d_18"), ("r2plus1d18", "r2plus1d_18")])
def test_video_resnets_are_torchvisions(name: str, theirs: str) -> None:
    reference = liven(getattr(torchvision_models().video, theirs)())
    encoder = copy_weights(body(reference, "fc"), encoders.build(name, channels=3))
    reference.fc = nn.Identity()
    with torch.inference_mode():
        found = encoder(volumes().transpose(1, 2)).mean(1)
        torch.testing.assert_close(found, reference(volumes()), atol=1e-3, rtol=1e-4)


def test_r3d34_is_torchvisions_with_more_blocks() -> None:
    resnet = torchvision_models().video.resnet
    makers = [resnet.Conv3DSimple] * 4
    reference = liven(resnet.VideoResNet(resnet.BasicBlock, makers, [3, 4, 6, 3], resnet.BasicStem))
    encoder = copy_weights(body(reference, "fc"), encoders.build("r3d34", channels=3))
    reference.fc = nn.Identity()
    with torch.inference_mode():
        found = encoder(volumes().transpose(1, 2)).mean(1)
        torch.testing.assert_close(found, reference(volumes()), atol=1e-3, rtol=1e-4)


def test_s3d_is_torchvisions() -> None:
    reference = liven(torchvision_models().video.s3d())
    encoder = copy_weights(body(reference, "classifier"), encoders.build("s3d", channels=3))
    with torch.inference_mode():
        found = encoder.features(volumes(16).transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(found, reference.features(volumes(16)), atol=1e-3, rtol=1e-4)


def test_se_resnext_of_full_width_is_monais() -> None:
    from monai.networks.nets.senet import SEResNext50

    reference = liven(SEResNext50(spatial_dims=2, in_channels=3))
    encoder = copy_weights(body(reference, "last_linear"), SEResNeXt(3, 1.0, 32))
    with torch.inference_mode():
        expected = reference.features(frames())
        torch.testing.assert_close(encoder.features(frames()[None])[0], expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("name", "stem"), [("slowonly50", (1, 1)), ("r3d50", (5, 2))])
def test_slow_resnets_are_pytorchvideos(name: str, stem: tuple[int, int]) -> None:
    torchvision_models()
    resnet = pytest.importorskip("pytorchvideo.models.resnet", reason="pytorchvideo is not installed")
    reference = liven(
        resnet.create_resnet(stem_conv_kernel_size=(stem[0], 7, 7), stem_conv_stride=(stem[1], 2, 2), head=None)
    )
    theirs = reference.state_dict()
    # Their shortcut (branch1) stands before its block, ours after it.
    blocks = {name: name.split("branch")[0] for name in theirs}
    order = sorted(theirs, key=lambda key: (list(blocks.values()).index(blocks[key]), "branch1" in key))
    copied = copy_weights({key: theirs[key] for key in order}, encoders.build(name, channels=3))
    with torch.inference_mode():
        found = copied.features(volumes().transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(found, reference(volumes()), atol=1e-3, rtol=1e-4)
