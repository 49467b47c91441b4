"""SE-ResNeXt-50 of half width with dilation: the frame encoder of Droste et al., IPMI 2019 (arXiv 1903.02974).

Half of all channels and of the groups (16) of SE-ResNeXt-50 (Hu et al. 2018, arXiv 1709.01507); the last two stages
dilate, so that a frame of 224 x 288 gives maps of 28 x 36 (Table 1). Ours: the squeeze is as wide as in the full
network, an eighth of the channels, for so the network has the published 7.4 M parameters (with a sixteenth it has
6.8 M). MONAI's `SEResNext50` is the network of full width without dilation, and takes neither a width nor a dilation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from usssl.models.dilation import dilate
from usssl.models.encoders import FrameEncoder, register, scaled
from usssl.models.initial import initialise

_PLANES = (64, 128, 256, 512)
_BLOCKS = (3, 4, 6, 3)
_GROUPS = 32
_GROUP_WIDTH = 4  # channels of a group in the first stage


class SqueezeExcite(nn.Module):
    """Scales each channel by what all channels' means say; `reduction` is of the channels in between."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `(n, channels, h, w)` to the same shape."""
        scaled_maps: Tensor = maps * self.gate(maps.mean(dim=(-2, -1), keepdim=True))
        return scaled_maps


class Bottleneck(nn.Module):
    """1x1, grouped 3x3, 1x1, squeeze and excitation, and the shortcut.

    Args:
        before: channels that come in.
        middle: channels of the grouped convolution.
        after: channels that go out.
        groups: of the grouped convolution.
        stride: of the grouped convolution.
        reduction: of the squeeze.
    """

    def __init__(self, before: int, middle: int, after: int, *, groups: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_convolution(before, middle, 1),
            *_convolution(middle, middle, 3, stride, groups),
            *_convolution(middle, after, 1)[:2],
            SqueezeExcite(after, reduction),
        )
        self.shortcut: nn.Module = nn.Identity()
        if before != after or stride > 1:
            self.shortcut = nn.Sequential(*_convolution(before, after, 1, stride)[:2])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `(n, before, h, w)` to `(n, after, h', w')`."""
        return self.relu(self.branch(maps) + self.shortcut(maps))


class SEResNeXt(FrameEncoder):
    """SE-ResNeXt-50 at any width.

    Args:
        channels: 1 or 3.
        width: multiplies all channel counts and groups of the full network.
        output_stride: pixels to a cell of the maps: 32 without dilation, 16 or 8.
        reduction: of the squeeze, 16 in the full network.
    """

    def __init__(self, channels: int, width: float, output_stride: int, reduction: int = 16) -> None:
        super().__init__()
        self.stride = output_stride
        groups = max(1, round(_GROUPS * width))
        planes = scaled(_PLANES, width)
        self.stem = nn.Sequential(*_convolution(channels, planes[0], 7, 2), nn.MaxPool2d(3, stride=2, ceil_mode=True))
        before, layers = planes[0], []
        for number, (count, blocks) in enumerate(zip(planes, _BLOCKS, strict=True)):
            middle = groups * _GROUP_WIDTH * 2**number
            stage: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if number and not block else 1
                stage.append(Bottleneck(before, middle, 4 * count, groups=groups, stride=stride, reduction=reduction))
                before = 4 * count
            layers.append(nn.Sequential(*stage))
        self.blocks = nn.ModuleList(layers)
        self.dim = before
        dilate(layers[1:], output_stride, 32)
        initialise(self)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Stem, then the four stages."""
        return [[self.stem], *([layer] for layer in self.blocks)]


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


@register("seresnext50_half")
def seresnext50_half(channels: int, width: float, output_stride: int = 8) -> SEResNeXt:
    """SE-ResNeXt-50 of half width at width 1: 1024 features, 16 groups, 7.4 M parameters."""
    return SEResNeXt(channels, width / 2, output_stride, reduction=8)
