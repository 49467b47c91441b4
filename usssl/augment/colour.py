"""Linear colour changes: each is a 3 x 4 matrix on (r, g, b, 1), and any number of them is one.

Grey clips are treated as RGB clips with three equal channels. Values are in 0..1; the result is clamped once, after all
colour changes, not after each as the peers do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import Op, Params, Probability, Stage
from usssl.augment.pixels import like, to_unit
from usssl.augment.seeds import Seeds

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601 weights of red, green and blue."""
_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
"""NTSC: luma first, then the two axes of colour; turning these two turns the hue and keeps the luma."""
Strength = Annotated[float, Field(ge=0, le=1)]
P = TypeVar("P", bound=Params)


class ColourOp(Op[P]):
    """A linear map of colours, the same at every pixel of a clip; any number of them cost one pass."""

    stage: ClassVar[Stage] = Stage.COLOUR

    @abstractmethod
    def matrix(self, params: P, mean: Tensor) -> Tensor:
        """The map of each clip, `(batch, 3, 4)` float64.

        Args:
            params: as sampled.
            mean: `(batch, 3)` mean colour of each clip before this op, over all frames.
        """

    def settle(self, params: P, mean: Tensor) -> P:
        """Writes into the record what depends on the clip's mean colour `(batch, 3)`, so that it says all there is."""
        return params

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Changes colours and keeps them in 0..1."""
        unit = to_unit(clips)
        return like(multiply(unit, self.matrix(params, mean_colour(unit))).clamp_(0, 1), clips)


@dataclass(frozen=True)
class ColourJitterParams(Params):
    """Drawn colour changes, identity where the factors are 1 and the hue 0.

    Attributes:
        brightness: `(batch,)` factor of all values.
        contrast: `(batch,)` factor of the distance from the clip's mean luma.
        saturation: `(batch,)` factor of the distance from grey.
        hue: `(batch,)` turn of the hue, in shares of a full turn.
        order: `(batch, 4)` order in which brightness (0), contrast (1), saturation (2) and hue (3) are changed.
        mean: `(batch, 3)` mean colour of the clip, about which the contrast changes; NaN until it is known.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    order: Tensor
    mean: Tensor


class ColourJitter(ColourOp[ColourJitterParams]):
    """Brightness, contrast, saturation and hue in random order.

    The contrast's mean is that of the whole clip, because a mean of each frame would change from frame to frame
    (methods/cvrl, Pitfalls). The hue is turned in the YIQ plane, which is linear and keeps the luma, not in HSV.

    Attributes:
        brightness: factors are drawn from 1 ± this.
        contrast: the same.
        saturation: the same; has no effect on grey clips.
        hue: largest turn either way, shares of a full turn; has no effect on grey clips.
        p: chance of any change.
        shuffle: random order; otherwise brightness, contrast, saturation, hue.
    """

    name: Literal["colour_jitter"] = "colour_jitter"
    brightness: Strength = 0.4
    contrast: Strength = 0.4
    saturation: Strength = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    p: Probability = 0.8
    shuffle: bool = True

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> ColourJitterParams:
        """Draws factors uniformly; the contrast's mean is written down if the batch has pixels."""
        seeds = Seeds.of(random, len(batch))
        changed = seeds.chance("p", self.p).double()
        factors = {
            name: 1 + changed * seeds.uniform(name, -strength, strength)
            for name, strength in (
                ("brightness", self.brightness),
                ("contrast", self.contrast),
                ("saturation", self.saturation),
            )
        }
        order = seeds.permutation("order", 4) if self.shuffle else torch.arange(4).expand(len(batch), 4)
        params = ColourJitterParams(
            **factors,
            hue=changed * seeds.uniform("hue", -self.hue, self.hue),
            order=order,
            mean=torch.full((len(batch), 3), torch.nan, dtype=torch.float64),
        )
        return params if batch.pixels.is_meta else self.settle(params, mean_colour(batch.pixels))

    def settle(self, params: ColourJitterParams, mean: Tensor) -> ColourJitterParams:
        """Writes the clip's mean colour into the record."""
        return replace(params, mean=mean.double().cpu())

    def encode(self, params: ColourJitterParams) -> Tensor:
        """The four changes, each divided by its range: `(batch, 4)` in [-1, 1]; 0 where its range is a point."""
        ranges = torch.tensor([self.brightness, self.contrast, self.saturation, self.hue], dtype=torch.float64)
        changes = [params.brightness - 1, params.contrast - 1, params.saturation - 1, params.hue]
        return (torch.stack(changes, dim=1) / ranges.where(ranges > 0, torch.inf)).float()

    def matrix(self, params: ColourJitterParams, mean: Tensor) -> Tensor:
        """The four changes of each clip, in its own order, as one map."""
        mean = torch.where(params.mean.isnan(), mean.double().cpu(), params.mean)
        total = identity(len(params))
        changes = [
            brightness_matrix(params.brightness),
            identity(len(params)),
            saturation_matrix(params.saturation),
            hue_matrix(params.hue),
        ]
        rows = torch.arange(len(params))
        for place in range(4):
            changes[1] = contrast_matrix(params.contrast, apply_to_colours(total, mean))
            total = compose_colours(torch.stack(changes, dim=1)[rows, params.order[:, place]], total)
        return total


@dataclass(frozen=True)
class GreyParams(Params):
    """Drawn losses of colour.

    Attributes:
        grey: `(batch,)` true where the clip becomes grey.
    """

    grey: Tensor


class Grey(ColourOp[GreyParams]):
    """Replaces colours by their luma; three channels stay three.

    Attributes:
        p: chance.
    """

    name: Literal["grey"] = "grey"
    p: Probability = 0.2

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> GreyParams:
        """Draws which clips become grey."""
        return GreyParams(Seeds.of(random, len(batch)).chance("grey", self.p))

    def encode(self, params: GreyParams) -> Tensor:
        """1 where grey, else 0: `(batch, 1)`."""
        return params.grey.float()[:, None]

    def matrix(self, params: GreyParams, mean: Tensor) -> Tensor:
        """The luma in each row, or the identity."""
        return saturation_matrix(1.0 - params.grey.double())


def identity(rows: int) -> Tensor:
    """The colour map that changes nothing, `(rows, 3, 4)`."""
    return torch.eye(3, 4, dtype=torch.float64).expand(rows, 3, 4)


def brightness_matrix(factor: Tensor) -> Tensor:
    """Multiplies all values by `factor` `(batch,)`."""
    return identity(len(factor)) * factor.double()[:, None, None]


def contrast_matrix(factor: Tensor, mean: Tensor) -> Tensor:
    """Multiplies the distance from the luma of the `mean` colour `(batch, 3)`."""
    matrix = brightness_matrix(factor)
    pivot = mean @ torch.tensor(LUMA, dtype=torch.float64)
    return torch.cat([matrix[:, :, :3], ((1 - factor) * pivot)[:, None, None].expand(-1, 3, 1)], dim=2)


def saturation_matrix(factor: Tensor) -> Tensor:
    """Multiplies the distance from grey; 0 gives grey."""
    factor = factor.double()[:, None, None]
    grey = torch.tensor([[*LUMA, 0.0]] * 3, dtype=torch.float64)
    return factor * identity(len(factor)) + (1 - factor) * grey


def hue_matrix(turn: Tensor) -> Tensor:
    """Turns colours about the grey axis by a share of a full turn, in the YIQ plane."""
    angle = 2 * math.pi * turn.double()
    to_yiq = torch.tensor(_YIQ, dtype=torch.float64)
    rotation = torch.eye(3, dtype=torch.float64).repeat(len(turn), 1, 1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -angle.sin(), angle.sin()
    linear = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    return torch.cat([linear, torch.zeros(len(turn), 3, 1, dtype=torch.float64)], dim=2)


def compose_colours(outer: Tensor, inner: Tensor) -> Tensor:
    """`outer(inner(colour))` of `(batch, 3, 4)` maps."""
    linear = outer[:, :, :3] @ inner
    return torch.cat([linear[:, :, :3], linear[:, :, 3:] + outer[:, :, 3:]], dim=2)


def apply_to_colours(matrix: Tensor, colours: Tensor) -> Tensor:
    """Maps one colour a clip, `(batch, 3)`."""
    return (matrix[:, :, :3] @ colours[:, :, None])[:, :, 0] + matrix[:, :, 3]


def mean_colour(clips: Tensor) -> Tensor:
    """Mean colour of each clip over all frames and pixels, in 0..1: `(batch, 3)` float64 on the CPU."""
    if clips.dtype == torch.uint8 and clips.device.type == "cpu" and clips[0, 0, 0].numel() < 2**23:
        # OpenCV adds bytes up some fifty times faster than torch does, in 32 bits
        planes = clips.flatten(3).flatten(1, 2).numpy()
        sums = np.stack([cv2.reduce(clip, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0] for clip in planes])
        mean = torch.from_numpy(sums).unflatten(1, clips.shape[1:3]).sum(dim=1).double() / (
            255.0 * clips[0, :, 0].numel()
        )
    else:
        full = 255 if clips.dtype == torch.uint8 else 1
        mean = clips.mean(dim=(1, 3, 4), dtype=torch.float32).double().cpu() / full
    return mean.expand(len(clips), 3)


def compose_colour_ops(ops: Sequence[tuple[ColourOp[Any], Params]], mean: Tensor) -> tuple[Tensor, list[Params]]:
    """One map for several ops, and their records with all that depended on the clips' mean colour `(batch, 3)`."""
    total, settled = identity(len(mean)), []
    for op, params in ops:
        params = op.settle(params, mean)
        matrix = op.matrix(params, mean)
        total, mean = compose_colours(matrix, total), apply_to_colours(matrix, mean)
        settled.append(params)
    return total, settled


def multiply(unit: Tensor, matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """Applies `(batch, 3, 4)` maps to clips `(batch, time, channels, height, width)` in floating point.

    Args:
        unit: the clips; grey ones are overwritten.
        matrix: the maps.
        out: contiguous memory of the shape and dtype of the clips, for the result.
    """
    matrix = matrix.to(unit.device, unit.dtype)
    if unit.shape[2] == 1:
        gain = matrix[:, 0, :3].sum(dim=1)[:, None, None, None, None]
        return unit.mul_(gain).add_(matrix[:, 0, 3][:, None, None, None, None])
    out = torch.empty_like(unit, memory_format=torch.contiguous_format) if out is None else out
    linear = matrix[:, None, :, :3].expand(-1, unit.shape[1], 3, 3).flatten(0, 1)
    torch.bmm(linear, unit.flatten(0, 1).flatten(2), out=out.flatten(0, 1).flatten(2))
    return out.add_(matrix[:, None, :, 3, None, None])
