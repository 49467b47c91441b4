"""SonoNet: the VGG-like frame encoder of fetal standard plane detection.

Source: Baumgartner et al., IEEE TMI 2017 (arXiv 1612.05601). Layout `[w,w,P,2w,2w,P,4w x3,P,8w x3,P,8w x3]` with 3x3
convolutions, batch normalisation (eps 1e-4) after each, and `w` = 16, 32 or 64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from usssl.models.encoders import FrameEncoder, register

_BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # (multiple of w, number of convolutions)


class SonoNet(FrameEncoder):
    """The convolutional part of SonoNet.

    Args:
        channels: 1 (grey) or 3 (RGB).
        filters: `w` of the layout above, times the width multiplier.
        output_stride: 16 as published, or 8: the last pooling is left out and the last block dilated instead, which
            gives maps of twice the resolution with the same weights (as the group's saliency network does, Droste
            et al., IPMI 2019).
    """

    def __init__(self, channels: int, filters: int, output_stride: int = 16) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ValueError(f"output_stride is 8 or 16, not {output_stride}")
        self.dim = 8 * filters
        self.stride = output_stride
        blocks: list[nn.Module] = []
        before = channels
        for number, (multiple, convolutions) in enumerate(_BLOCKS):
            last = number == len(_BLOCKS) - 1
            dilation = 2 if last and output_stride == 8 else 1
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                layers += _convolution(before, multiple * filters, dilation)
                before = multiple * filters
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(blocks)
        self.pools = nn.ModuleList(
            nn.Identity() if output_stride == 8 and number == 3 else nn.MaxPool2d(2) for number in range(4)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The five blocks, each but the first after its pooling."""
        first, *later = self.blocks
        return [[first], *([pool, block] for pool, block in zip(self.pools, later, strict=True))]


def _convolution(before: int, after: int, dilation: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(after, eps=1e-4),
        nn.ReLU(inplace=True),
    ]


def _filters(base: int, width: float) -> int:
    return max(4, round(base * width))


@register("sononet16")
def sononet16(channels: int, width: float, output_stride: int = 16) -> SonoNet:
    """SonoNet-16: 128 feature channels at width 1."""
    return SonoNet(channels, _filters(16, width), output_stride)


@register("sononet32")
def sononet32(channels: int, width: float, output_stride: int = 16) -> SonoNet:
    """SonoNet-32: 256 feature channels at width 1."""
    return SonoNet(channels, _filters(32, width), output_stride)


@register("sononet64")
def sononet64(channels: int, width: float, output_stride: int = 16) -> SonoNet:
    """SonoNet-64: 512 feature channels at width 1."""
    return SonoNet(channels, _filters(64, width), output_stride)
