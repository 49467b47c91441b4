"""Changes along time that are linear: each is a matrix over the frames of a clip whose rows sum to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.blur import blur, gaussian_kernel
from usssl.augment.op import Params, PixelOp, Stage, TemporalOp, mix_frames
from usssl.augment.seeds import Seeds

Intensity = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class StaticBlendParams(Params):
    """Drawn blends with a static frame.

    Attributes:
        weight: `(batch,)` lambda, the share of the static frame.
        frame: `(batch,)` t0, the static frame.
    """

    weight: Tensor
    frame: Tensor


class StaticBlend(TemporalOp[StaticBlendParams]):
    """Temporal Consistent Augmentation: `(1 - lambda) x_t + lambda x_t0` (methods/vtdl).

    Every temporal difference of the clip is scaled by 1 - lambda and otherwise unchanged.

    Attributes:
        alpha: lambda is drawn from 0..alpha; 0 switches TCA off.
    """

    name: Literal["tca"] = "tca"
    alpha: Intensity = 0.1

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> StaticBlendParams:
        """Draws lambda and t0 uniformly, one a clip."""
        seeds = Seeds.of(random, len(batch))
        return StaticBlendParams(seeds.uniform("weight", 0, self.alpha), seeds.integers("frame", 0, batch.frames))

    def encode(self, params: StaticBlendParams) -> Tensor:
        """The weight as a share of alpha: `(batch, 1)`."""
        return (params.weight / max(self.alpha, 1e-6)).float()[:, None]

    def weights(self, params: StaticBlendParams, frames: int) -> Tensor:
        """`(1 - lambda) I` and lambda in column t0."""
        static = torch.nn.functional.one_hot(params.frame, frames).double()[:, None, :]
        weight = params.weight[:, None, None]
        return (1 - weight) * torch.eye(frames, dtype=torch.float64) + weight * static


@dataclass(frozen=True)
class TemporalBlurParams(Params):
    """Drawn blurs along time.

    Attributes:
        sigma: `(batch,)` standard deviation, frames.
        sigma_xy: `(batch,)` standard deviation along height and width, pixels.
    """

    sigma: Tensor
    sigma_xy: Tensor


class TemporalBlur(TemporalOp[TemporalBlurParams]):
    """Gaussian blur along time with replicated ends (methods/av_augment, L1): sigma = 2 r, radius = ceil(3 sigma).

    Attributes:
        intensity: r in 0..1; 0 changes nothing.
        sigma_s: the standard deviation in seconds in place of 2 r frames, so that it does not depend on the frame rate;
            clips whose times are not known are left as they are.
        radius: frames that the kernel reaches either way, in place of ceil(3 sigma).
    """

    name: Literal["temporal_blur"] = "temporal_blur"
    intensity: Intensity = 0.5
    sigma_s: NonNegative | None = None
    radius: Annotated[int, Field(ge=0)] | None = None

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> TemporalBlurParams:
        """Draws nothing: the width is given."""
        sigma = _width_in_frames(batch, self.intensity, self.sigma_s)
        return TemporalBlurParams(sigma, torch.zeros_like(sigma))

    def weights(self, params: TemporalBlurParams, frames: int) -> Tensor:
        """A band matrix; weights that reach past an end fall on the frame at that end."""
        return blur_weights(params.sigma, frames, self.radius)


def _width_in_frames(batch: ClipBatch, intensity: float, sigma_s: float | None) -> Tensor:
    if sigma_s is None:
        return torch.full((len(batch),), 2 * intensity, dtype=torch.float64)
    step = torch.diff(batch.times_s, dim=1).abs().mean(dim=1)
    return (sigma_s / step).nan_to_num(0.0, 0.0)


def blur_weights(sigma: Tensor, frames: int, radius: int | None = None) -> Tensor:
    """The band matrix of a Gaussian along time, ends replicated: `(batch, frames, frames)` float64.

    Args:
        sigma: `(batch,)` standard deviation, frames.
        frames: in a clip.
        radius: frames that the kernel reaches either way; by default ceil(3 sigma) of each clip.
    """
    own = torch.ceil(3 * sigma - 1e-9) if radius is None else torch.full_like(sigma, radius)
    largest = max(1, int(own.max()))
    reach = torch.arange(-largest, largest + 1)
    kernel = torch.where(reach.abs() <= own[:, None], gaussian_kernel(sigma, largest), 0.0)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    source = (torch.arange(frames)[:, None] + reach).clamp(0, frames - 1)
    weights = torch.zeros(len(sigma), frames, frames, dtype=torch.float64)
    return weights.scatter_add_(
        2, source.expand(len(sigma), -1, -1), kernel[:, None, :].expand(-1, frames, -1).contiguous()
    )


class SpatioTemporalBlur(PixelOp[TemporalBlurParams]):
    """Temporal blur with a spatial Gaussian of the same width, constant over time (methods/av_augment, L2).

    Attributes:
        intensity: r in 0..1: sigma is 2 r frames and 2 r pixels.
        sigma_s: the temporal width in seconds in place of 2 r frames, as in `TemporalBlur`.
        sigma_mm: the spatial width in mm in place of 2 r pixels; clips whose spacing is not known stay sharp.
    """

    stage: ClassVar[Stage] = Stage.TIME
    name: Literal["spatio_temporal_blur"] = "spatio_temporal_blur"
    intensity: Intensity = 0.5
    sigma_s: NonNegative | None = None
    sigma_mm: NonNegative | None = None

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> TemporalBlurParams:
        """Draws nothing: both widths are given."""
        sigma_xy = torch.full((len(batch),), 2 * self.intensity, dtype=torch.float64)
        if self.sigma_mm is not None:
            sigma_xy = (self.sigma_mm / batch.spacing_mm.mean(dim=1)).nan_to_num(0.0, 0.0)
        return TemporalBlurParams(_width_in_frames(batch, self.intensity, self.sigma_s), sigma_xy)

    def change(self, unit: Tensor, params: TemporalBlurParams) -> Tensor:
        """Blurs along time, then along height and width."""
        mixed = mix_frames(unit, blur_weights(params.sigma, unit.shape[1]))
        return blur(mixed, params.sigma_xy, max(1, math.ceil(3 * float(params.sigma_xy.max()))))


@dataclass(frozen=True)
class DownUpParams(Params):
    """Drawn losses of temporal resolution.

    Attributes:
        every: `(batch,)` k: only every k-th frame is kept.
    """

    every: Tensor


class DownUp(TemporalOp[DownUpParams]):
    """Keeps every k-th frame and interpolates linearly back (methods/av_augment, L5): k = 1 + round(3 r).

    Attributes:
        intensity: r in 0..1; 0 changes nothing.
    """

    name: Literal["down_up"] = "down_up"
    intensity: Intensity = 0.5

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> DownUpParams:
        """Draws nothing: k is given."""
        return DownUpParams(torch.full((len(batch),), 1 + round(3 * self.intensity)))

    def weights(self, params: DownUpParams, frames: int) -> Tensor:
        """Linear interpolation between kept frames; after the last kept one, that one is held."""
        place = torch.arange(frames)
        before = place // params.every[:, None] * params.every[:, None]
        after = torch.minimum(
            before + params.every[:, None], (frames - 1) // params.every[:, None] * params.every[:, None]
        )
        part = ((place - before).double() / params.every[:, None])[:, :, None]
        hot = torch.nn.functional.one_hot
        return (1 - part) * hot(before, frames).double() + part * hot(after, frames).double()
