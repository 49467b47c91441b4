"""Denser feature maps from the same weights: strides become dilations (DeepLab's "à trous" rule)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def dilate(stages: Sequence[nn.Module], wanted: int, own: int) -> None:
    """Removes the spatial strides of the last stages and dilates what follows them, in place.

    Every second cell of the new maps holds what the strided network would have given, so weights stay valid. Time is
    left as it is.

    Args:
        stages: the stages of convolutions that halve the resolution, in order, each once.
        wanted: pixels to a cell of the feature map.
        own: those of the network as published.

    Raises:
        ValueError: `wanted` cannot be reached.
    """
    choices = [own >> undone for undone in range(len(stages) + 1)]
    if wanted not in choices:
        raise ValueError(f"output_stride is one of {', '.join(map(str, choices))}, not {wanted}")
    rate = 1
    for stage in stages[len(stages) - choices.index(wanted) :]:
        for module in stage.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                _dilate_convolution(module, rate)
        rate *= 2


def _dilate_convolution(layer: nn.Conv2d | nn.Conv3d, rate: int) -> None:
    """The convolution that had the stride still sees the cells that came in; those after it skip every second one."""
    if layer.stride[-1] == 2:
        layer.stride = (*layer.stride[:-2], 1, 1)
    else:
        rate *= 2
    kernel = layer.kernel_size[-1]
    if kernel > 1:
        layer.dilation = (*layer.dilation[:-2], rate, rate)
        reach = rate * (kernel // 2)
        layer.padding = (*layer.padding[:-2], reach, reach)
