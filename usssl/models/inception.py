"""I3D and S3D: Inception-v1 made three-dimensional, with full or separated convolutions; MONAI has neither.

I3D: Carreira & Zisserman 2017 (arXiv 1705.07750). S3D: Xie et al. 2018 (arXiv 1712.04851), without gating. The padding
is the same on both sides, as in torchvision's S3D (TensorFlow's I3D pads one cell more at the end where it strides).
Ours: batch normalisation follows its batches as fast as PyTorch's default; the published 0.001 would need thousands of
steps to warm up. Ours, too: a pooling of pairs keeps a last odd frame, so that clips of any length fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from usssl.models.encoders import ClipEncoder, register, scaled
from usssl.models.initial import initialise

Convolution = Callable[..., nn.Module]
"""`(before, after, kernel, stride=1, rate=1)`: a convolution of kernel³, with normalisation and ReLU."""

# Channels of a block's branches: 1x1x1; 1x1x1 and 3x3x3; 1x1x1 and 3x3x3; pooled 1x1x1. Three stages of blocks.
_BLOCKS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def _unit(
    before: int, after: int, kernel: tuple[int, int, int], stride: tuple[int, int, int], rate: int
) -> list[nn.Module]:
    reach = (kernel[0] // 2, rate * (kernel[1] // 2), rate * (kernel[2] // 2))
    return [
        nn.Conv3d(before, after, kernel, stride=stride, padding=reach, dilation=(1, rate, rate), bias=False),
        nn.BatchNorm3d(after, eps=1e-3),
        nn.ReLU(inplace=True),
    ]


def full(before: int, after: int, kernel: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    """I3D's convolution: over space and time at once."""
    return nn.Sequential(*_unit(before, after, (kernel, kernel, kernel), (stride, stride, stride), rate))


def separated(before: int, after: int, kernel: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    """S3D's convolution: over space, then over time; over a single cell there is nothing to separate."""
    if kernel == 1:
        return full(before, after, 1)
    return nn.Sequential(
        *_unit(before, after, (1, kernel, kernel), (1, stride, stride), rate),
        *_unit(after, after, (kernel, 1, 1), (stride, 1, 1), 1),
    )


class Block(nn.Module):
    """Four branches side by side.

    Args:
        before: channels that come in.
        branches: six channel counts, in the order of `_BLOCKS`.
        convolution: `full` or `separated`.
        rate: spatial dilation of the convolutions.
    """

    def __init__(self, before: int, branches: Sequence[int], convolution: Convolution, rate: int) -> None:
        super().__init__()
        first, middle_2, second, middle_3, third, fourth = branches
        self.after = first + second + third + fourth
        self.branches = nn.ModuleList(
            [
                convolution(before, first, 1),
                nn.Sequential(convolution(before, middle_2, 1), convolution(middle_2, second, 3, rate=rate)),
                nn.Sequential(convolution(before, middle_3, 1), convolution(middle_3, third, 3, rate=rate)),
                nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), convolution(before, fourth, 1)),
            ]
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `(n, before, time, h, w)` to `(n, after, time, h, w)`."""
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class Inception3d(ClipEncoder):
    """Inception-v1 over space and time.

    Args:
        channels: 1 or 3.
        width: multiplies all channel counts.
        convolution: `full` or `separated`.
        output_stride: 32 as published; 16 and 8 leave out the spatial stride of the last poolings and dilate the
            convolutions that follow.
    """

    time_stride = 8

    def __init__(self, channels: int, width: float, convolution: Convolution, output_stride: int) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is one of 32, 16, 8, not {output_stride}")
        self.stride = output_stride
        low, high = scaled((64, 192), width)
        self.stem = nn.Sequential(
            convolution(channels, low, 7, stride=2),
            _pool((1, 3, 3), (1, 2, 2)),
            convolution(low, low, 1),
            convolution(low, high, 3),
            _pool((1, 3, 3), (1, 2, 2)),
        )
        self.pools = nn.ModuleList(
            [
                nn.Identity(),
                _pool((3, 3, 3), (2, 2, 2)) if output_stride > 8 else _pool((3, 3, 3), (2, 1, 1)),
                _short_pool(2 if output_stride > 16 else 1),
            ]
        )
        before, blocks = high, []
        for rate, stage in zip((1, 2 if output_stride < 16 else 1, 32 // output_stride), _BLOCKS, strict=True):
            layers = []
            for branches in stage:
                layers.append(Block(before, scaled(branches, width), convolution, rate))
                before = layers[-1].after
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(blocks)
        self.dim = before
        initialise(self)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Stem, then the three stages of blocks, each after its pooling."""
        return [[self.stem], *([pool, block] for pool, block in zip(self.pools, self.blocks, strict=True))]


def _pool(kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.MaxPool3d:
    return nn.MaxPool3d(kernel, stride=stride, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))


def _short_pool(side: int) -> nn.MaxPool3d:
    """Pools pairs in time, and in space unless `side` is 1; a last odd one stands alone, so that any length fits."""
    return nn.MaxPool3d((2, side, side), stride=(2, side, side), ceil_mode=True)


@register("i3d")
def i3d(channels: int, width: float, output_stride: int = 32) -> Inception3d:
    """I3D: 1024 features, an eighth of time, 12.3 M parameters."""
    return Inception3d(channels, width, full, output_stride)


@register("s3d")
def s3d(channels: int, width: float, output_stride: int = 32) -> Inception3d:
    """S3D: 1024 features, an eighth of time, 7.9 M parameters."""
    return Inception3d(channels, width, separated, output_stride)
