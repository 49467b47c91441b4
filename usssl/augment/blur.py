"""Gaussian kernels, and the spatial Gaussian blur of whole clips: separable, one width a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import cv2
import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import NonNegativeRange, Op, Params, Probability, Stage
from usssl.augment.pixels import like, to_unit
from usssl.augment.seeds import Seeds
from usssl.augment.threads import spread
from usssl.augment.warp import four


def gaussian_kernel(sigma: Tensor, radius: int) -> Tensor:
    """Weights of a Gaussian at -radius..radius, normalised to sum 1: `(batch, 2 radius + 1)` float64.

    Where sigma is 0 the weight is all at the centre.
    """
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    width = sigma.double().clamp(min=1e-6)[:, None]
    weights = torch.exp(-0.5 * (offsets / width) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class BlurParams(Params):
    """Drawn blurs.

    Attributes:
        sigma: `(batch,)` standard deviation of the Gaussian, pixels; 0 where not blurred.
    """

    sigma: Tensor


class GaussianBlur(Op[BlurParams]):
    """Spatial Gaussian blur with replicated edges, the same on all frames of a clip.

    Attributes:
        sigma: smallest and largest standard deviation, pixels of the view.
        radius: pixels that the kernel reaches either way; by default floor((height // 10) / 2) as in methods/cvrl.
        p: chance.
    """

    stage: ClassVar[Stage] = Stage.BLUR
    name: Literal["gaussian_blur"] = "gaussian_blur"
    sigma: NonNegativeRange = (0.1, 2.0)
    radius: Annotated[int, Field(ge=1)] | None = None
    p: Probability = 1.0

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> BlurParams:
        """Draws widths uniformly."""
        seeds = Seeds.of(random, len(batch))
        return BlurParams(seeds.uniform("sigma", *self.sigma) * seeds.chance("p", self.p))

    def encode(self, params: BlurParams) -> Tensor:
        """The width as a share of the largest: `(batch, 1)`."""
        return (params.sigma / max(self.sigma[1], 1e-6)).float()[:, None]

    def reach(self, height: int) -> int:
        """The kernel's radius on frames of this height, pixels."""
        return self.radius or max(1, height // 10 // 2)

    def apply(self, clips: Tensor, params: BlurParams) -> Tensor:
        """Blurs; uint8 clips on the CPU in fixed-point arithmetic, all others in floating point."""
        radius = self.reach(clips.shape[-2])
        if clips.dtype == torch.uint8 and clips.device.type == "cpu":
            return _blur_bytes(clips, params.sigma, radius)
        return like(blur(to_unit(clips), params.sigma, radius), clips)


def blur(unit: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blurs floating clips along height and width; rows with sigma 0 are returned as they are.

    Args:
        unit: `(batch, time, channels, height, width)`.
        sigma: `(batch,)` pixels.
        radius: of the kernels, pixels.
    """
    blurred = (sigma > 0).nonzero()[:, 0].tolist()
    out = unit.clone() if len(blurred) < len(unit) else torch.empty_like(unit)
    for row in blurred:
        frames = unit[row].flatten(0, 1)[:, None]
        own = _reach(float(sigma[row]), radius)
        kernel = gaussian_kernel(sigma[row, None], own)[0].to(unit.device, unit.dtype)
        padded = torch.nn.functional.pad(frames, (own, own, own, own), mode="replicate")
        along_x = torch.nn.functional.conv2d(padded, kernel[None, None, None, :])
        out[row] = torch.nn.functional.conv2d(along_x, kernel[None, None, :, None])[:, 0].unflatten(0, unit.shape[1:3])
    return out


def _reach(sigma: float, radius: int) -> int:
    """The radius that is worked with: beyond 3.5 standard deviations lies less than half a thousandth of a kernel."""
    return min(radius, math.ceil(3.5 * sigma))


def _blur_bytes(clips: Tensor, sigma: Tensor, radius: int) -> Tensor:
    source, out = (
        clips.contiguous().flatten(1, 2).numpy(),
        torch.empty_like(clips, memory_format=torch.contiguous_format),
    )
    target = out.flatten(1, 2).numpy()
    widths = sigma.tolist()

    def one(row: int) -> None:
        if not widths[row] > 0:
            target[row] = source[row]
            return
        taps = 2 * _reach(widths[row], radius) + 1
        for first in range(0, source.shape[1], 4):
            merged = cv2.merge(four(source[row], first))
            smooth = cv2.GaussianBlur(merged, (taps, taps), widths[row], borderType=cv2.BORDER_REPLICATE)
            cv2.split(smooth, four(target[row], first))

    spread(one, range(len(clips)))
    return out
