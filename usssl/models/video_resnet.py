"""ResNets that treat space and time apart, which MONAI does not have: R3D-50 of CVRL, SlowOnly-50, R(2+1)D-18.

R3D-50: Qian et al. 2021, methods/cvrl section 4, a SlowFast slow path with a 5x7x7 stem that halves time.
SlowOnly-50: Feichtenhofer et al. 2019 (arXiv 1812.03982), the same with a 1x7x7 stem and all of time.
R(2+1)D-18: Tran et al. 2018 (arXiv 1711.11248): each 3x3x3 convolution as 1x3x3 and 3x1x1, as many parameters in all.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from usssl.models.dilation import dilate
from usssl.models.encoders import ClipEncoder, register, scaled
from usssl.models.initial import initialise

_PLANES = (64, 128, 256, 512)


class Residual(nn.Module):
    """ReLU of branch plus shortcut.

    Args:
        branch: the residual.
        before: channels that come in.
        after: channels of the branch.
        stride: of the branch, for time, height and width.
    """

    def __init__(self, branch: nn.Module, before: int, after: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut: nn.Module = nn.Identity()
        if before != after or max(stride) > 1:
            self.shortcut = nn.Sequential(nn.Conv3d(before, after, 1, stride=stride, bias=False), nn.BatchNorm3d(after))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `(n, before, time, h, w)` to `(n, after, time', h', w')`."""
        return self.relu(self.branch(maps) + self.shortcut(maps))


class VideoResNet(ClipEncoder):
    """A stem and four stages of residual blocks.

    Args:
        stem: its last stage's maps go to the first stage.
        layers: the four stages.
        dim: feature channels.
        time_stride: frames to a step of the features.
        own_stride: pixels to a cell as published.
        output_stride: as wanted; `own_stride` where None.
    """

    def __init__(
        self,
        stem: nn.Module,
        layers: Sequence[nn.Module],
        *,
        dim: int,
        time_stride: int,
        own_stride: int,
        output_stride: int | None,
    ) -> None:
        super().__init__()
        self.dim, self.time_stride, self.stride = dim, time_stride, output_stride or own_stride
        self.stem, self.blocks = stem, nn.ModuleList(layers)
        dilate(layers[1:], self.stride, own_stride)
        initialise(self)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Stem, then the four stages."""
        return [[self.stem], *([layer] for layer in self.blocks)]


def convolution(
    before: int, after: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
) -> list[nn.Module]:
    """A convolution that keeps the size up to its stride, batch normalisation and ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return [
        nn.Conv3d(before, after, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm3d(after),
        nn.ReLU(inplace=True),
    ]


def _bottleneck(before: int, planes: int, time_kernel: int, stride: int) -> Residual:
    strides = (1, stride, stride)
    branch = nn.Sequential(
        *convolution(before, planes, (time_kernel, 1, 1)),
        *convolution(planes, planes, (1, 3, 3), strides),
        *convolution(planes, 4 * planes, (1, 1, 1))[:2],
    )
    return Residual(branch, before, 4 * planes, strides)


def _slow(channels: int, width: float, output_stride: int | None, *, kernel: int, time_stride: int) -> VideoResNet:
    """The slow path of SlowFast-50: kernels see time in the last two stages only, and no stage halves it."""
    planes = scaled(_PLANES, width)
    stem = nn.Sequential(
        *convolution(channels, planes[0], (kernel, 7, 7), (time_stride, 2, 2)),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
    )
    layers, before = [], planes[0]
    for number, (count, blocks, time_kernel) in enumerate(zip(planes, (3, 4, 6, 3), (1, 1, 3, 3), strict=True)):
        stage = []
        for block in range(blocks):
            stage.append(_bottleneck(before, count, time_kernel, 2 if number and not block else 1))
            before = 4 * count
        layers.append(nn.Sequential(*stage))
    return VideoResNet(stem, layers, dim=before, time_stride=time_stride, own_stride=32, output_stride=output_stride)


@register("r3d50")
def r3d50(channels: int, width: float, output_stride: int | None = None) -> VideoResNet:
    """CVRL's R3D-50: 2048 features, half of time, 31.7 M parameters."""
    return _slow(channels, width, output_stride, kernel=5, time_stride=2)


@register("slowonly50")
def slowonly50(channels: int, width: float, output_stride: int | None = None) -> VideoResNet:
    """SlowOnly-50 ("Slow" 8x8): 2048 features, all of time, 31.6 M parameters."""
    return _slow(channels, width, output_stride, kernel=1, time_stride=1)


def _factored(before: int, after: int, middle: int, stride: int) -> list[nn.Module]:
    return [
        *convolution(before, middle, (1, 3, 3), (1, stride, stride)),
        *convolution(middle, after, (3, 1, 1), (stride, 1, 1)),
    ]


def _factored_block(before: int, after: int, stride: int) -> Residual:
    middle = 27 * before * after // (9 * before + 3 * after)  # as many parameters as a 3x3x3 convolution
    branch = nn.Sequential(*_factored(before, after, middle, stride), *_factored(after, after, middle, 1)[:-1])
    return Residual(branch, before, after, (stride, stride, stride))


@register("r2plus1d18")
def r2plus1d18(channels: int, width: float, output_stride: int | None = None) -> VideoResNet:
    """R(2+1)D-18: 512 features, an eighth of time, 31.3 M parameters."""
    planes = scaled(_PLANES, width)
    (middle,) = scaled((45,), width)
    stem = nn.Sequential(
        *convolution(channels, middle, (1, 7, 7), (1, 2, 2)), *convolution(middle, planes[0], (3, 1, 1))
    )
    layers, before = [], planes[0]
    for number, count in enumerate(planes):
        layers.append(
            nn.Sequential(_factored_block(before, count, 2 if number else 1), _factored_block(count, count, 1))
        )
        before = count
    return VideoResNet(stem, layers, dim=before, time_stride=8, own_stride=16, output_stride=output_stride)
