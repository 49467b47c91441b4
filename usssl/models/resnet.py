"""ResNets of frames and of clips on MONAI's `ResNet`, which is the published network for these settings.

ResNet-18 and -50 of frames: He et al. 2016 (arXiv 1512.03385), the stride in the 3x3 convolution as in torchvision.
R3D-18 and -34: Tran et al. 2018 (arXiv 1711.11248), 3x3x3 convolutions, stem 3x7x7 of stride (1, 2, 2), no pooling.
The names in the state dicts are torchvision's for frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from usssl.models.dilation import dilate
from usssl.models.encoders import ClipEncoder, Encoder, FrameEncoder, register, scaled
from usssl.models.initial import channels_last

_PLANES = (64, 128, 256, 512)
_CLIPS: dict[str, Any] = {"conv1_t_size": (3, 7, 7), "conv1_t_stride": (1, 2, 2), "no_max_pool": True}
_FRAMES: dict[str, Any] = {"conv1_t_size": 7, "conv1_t_stride": 2}


class ResNetStages(Encoder):
    """The parts of MONAI's ResNet that make features: stem and four layers."""

    def __init__(self, network: Any, own_stride: int, output_stride: int | None) -> None:
        super().__init__()
        self.stride = output_stride or own_stride
        self.conv1, self.bn1, self.act = network.conv1, network.bn1, network.act
        self.maxpool = nn.Identity() if network.no_max_pool else network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        self.dim = network.in_planes
        dilate([self.layer2, self.layer3, self.layer4], self.stride, own_stride)
        channels_last(self)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Stem, then the four layers."""
        stem = [self.conv1, self.bn1, self.act, self.maxpool]
        return [stem, [self.layer1], [self.layer2], [self.layer3], [self.layer4]]


class FrameResNet(ResNetStages, FrameEncoder):
    """A ResNet of frames."""


class ClipResNet(ResNetStages, ClipEncoder):
    """A ResNet of clips whose layers 2 to 4 halve time, too."""

    time_stride = 8


def _network(dims: int, block: str, blocks: Sequence[int], channels: int, width: float) -> Any:
    from monai.networks.nets.resnet import ResNet  # takes seconds, which other encoders need not wait for

    return ResNet(
        block=block,
        layers=list(blocks),
        block_inplanes=scaled(_PLANES, width),
        spatial_dims=dims,
        n_input_channels=channels,
        feed_forward=False,
        bias_downsample=False,
        **(_CLIPS if dims == 3 else _FRAMES),
    )


@register("resnet18")
def resnet18(channels: int, width: float, output_stride: int | None = None) -> FrameResNet:
    """ResNet-18 of frames: 512 features, 11.2 M parameters."""
    return FrameResNet(_network(2, "basic", (2, 2, 2, 2), channels, width), 32, output_stride)


@register("resnet50")
def resnet50(channels: int, width: float, output_stride: int | None = None) -> FrameResNet:
    """ResNet-50 of frames: 2048 features, 23.5 M parameters."""
    return FrameResNet(_network(2, "bottleneck", (3, 4, 6, 3), channels, width), 32, output_stride)


@register("r3d18")
def r3d18(channels: int, width: float, output_stride: int | None = None) -> ClipResNet:
    """R3D-18: 512 features, 33.2 M parameters."""
    return ClipResNet(_network(3, "basic", (2, 2, 2, 2), channels, width), 16, output_stride)


@register("r3d34")
def r3d34(channels: int, width: float, output_stride: int | None = None) -> ClipResNet:
    """R3D-34: 512 features, 63.5 M parameters."""
    return ClipResNet(_network(3, "basic", (3, 4, 6, 3), channels, width), 16, output_stride)
