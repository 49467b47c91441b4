"""Ultrasound's own changes of grey level: gain, time-gain compensation, shadows, and the shape of the sector.

Images are taken as log-compressed: a change of the echo by g dB shifts grey levels by g over the dynamic range. Places
are in shares of the original frame. Ranges are ours; no method page states them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch, bounding_box, corners_of
from usssl.augment.op import FieldOp, NonNegativeRange, Params, PositiveRange, Probability, Range
from usssl.augment.seeds import Seeds

Decibels = Annotated[float, Field(gt=0, le=200)]
_DYNAMIC_RANGE = 60.0
_NO_ECHO = -100.0


@dataclass(frozen=True)
class GainParams(Params):
    """Drawn gains.

    Attributes:
        gain_db: `(batch,)` change of the gain, dB.
    """

    gain_db: Tensor


class Gain(FieldOp[GainParams]):
    """A change of the overall gain.

    Attributes:
        gain_db: smallest and largest change, dB.
        dynamic_range_db: decibels from black to white.
    """

    name: Literal["gain"] = "gain"
    gain_db: Range = (-6.0, 6.0)
    dynamic_range_db: Decibels = _DYNAMIC_RANGE

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> GainParams:
        """Draws uniformly."""
        return GainParams(Seeds.of(random, len(batch)).uniform("gain", *self.gain_db))

    def shift(self, params: GainParams, at: Tensor) -> Tensor:
        """The same everywhere."""
        return (params.gain_db / self.dynamic_range_db).to(at)[:, None, None].expand(at.shape[:3])

    def encode(self, params: GainParams) -> Tensor:
        """The gain as a share of the dynamic range: `(batch, 1)`."""
        return (params.gain_db / self.dynamic_range_db).float()[:, None]


@dataclass(frozen=True)
class TimeGainParams(Params):
    """Drawn time-gain curves.

    Attributes:
        gains_db: `(batch, knots)` change at equally spaced depths, dB.
        top: `(batch,)` depth of the first knot, share of the original frame's height.
        bottom: `(batch,)` depth of the last one.
    """

    gains_db: Tensor
    top: Tensor
    bottom: Tensor


class TimeGain(FieldOp[TimeGainParams]):
    """A change of the time-gain compensation: a gain that varies with depth, linear between sliders.

    Depth is measured downwards in the sector's box, also for curved arrays.

    Attributes:
        gain_db: smallest and largest change at a slider, dB.
        knots: sliders.
        dynamic_range_db: decibels from black to white.
    """

    name: Literal["time_gain"] = "time_gain"
    gain_db: Range = (-6.0, 6.0)
    knots: Annotated[int, Field(ge=2, le=16)] = 6
    dynamic_range_db: Decibels = _DYNAMIC_RANGE

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> TimeGainParams:
        """Draws each slider uniformly."""
        gains = Seeds.of(random, len(batch)).uniform("time_gain", *self.gain_db, count=self.knots)
        _, top, _, bottom = sector_in_original(batch).unbind(dim=1)
        return TimeGainParams(gains, top, bottom)

    def shift(self, params: TimeGainParams, at: Tensor) -> Tensor:
        """Interpolates the sliders at each pixel's depth; above the first and below the last they are held."""
        top, bottom = (x.to(at)[:, None, None] for x in (params.top, params.bottom))
        last = params.gains_db.shape[1] - 1
        place = ((at[..., 1] - top) / (bottom - top)).clamp(0, 1) * last
        below = place.floor().clamp(max=last - 1)
        gains = (params.gains_db / self.dynamic_range_db).to(at)
        index = below.long().flatten(1)
        low, high = gains.gather(1, index), gains.gather(1, index + 1)
        return torch.lerp(low, high, (place - below).flatten(1)).unflatten(1, at.shape[1:3])


@dataclass(frozen=True)
class ShadowParams(Params):
    """Drawn shadows.

    Attributes:
        apex: `(batch, 2)` where the beams meet, shares of the original frame (above it for most probes).
        slope: `(batch,)` direction of the shadow's middle beam: x over y from the apex.
        half_width: `(batch,)` half of its width in the same measure.
        top: `(batch,)` depth at which it begins, share of the original frame's height.
        loss_db: `(batch,)` attenuation in it, dB; 0 where there is none.
    """

    apex: Tensor
    slope: Tensor
    half_width: Tensor
    top: Tensor
    loss_db: Tensor


class Shadow(FieldOp[ShadowParams]):
    """An acoustic shadow along the beams, as behind bone or gas, at the same place in all frames.

    Attributes:
        loss_db: smallest and largest attenuation, dB.
        width: smallest and largest width at the bottom, share of the sector's width.
        top: smallest and largest depth at which it begins, share of the sector's height.
        apex: height above the sector's top at which its beams meet, in sector heights; large for linear arrays.
        p: chance.
        dynamic_range_db: decibels from black to white.
    """

    name: Literal["shadow"] = "shadow"
    loss_db: NonNegativeRange = (10.0, 40.0)
    width: NonNegativeRange = (0.05, 0.2)
    top: NonNegativeRange = (0.1, 0.6)
    apex: Annotated[float, Field(gt=0)] = 0.3
    p: Probability = 0.5
    dynamic_range_db: Decibels = _DYNAMIC_RANGE

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> ShadowParams:
        """Draws place, width, depth and attenuation uniformly."""
        seeds = Seeds.of(random, len(batch))
        x0, y0, x1, y1 = sector_in_original(batch).unbind(dim=1)
        wide, high = x1 - x0, y1 - y0
        apex = torch.stack([(x0 + x1) / 2, y0 - self.apex * high], dim=1)
        reach = high * (1 + self.apex)
        return ShadowParams(
            apex=apex,
            slope=seeds.uniform("slope", -0.5, 0.5) * wide / reach,
            half_width=seeds.uniform("width", *self.width) * wide / reach / 2,
            top=y0 + seeds.uniform("top", *self.top) * high,
            loss_db=seeds.uniform("loss", *self.loss_db) * seeds.chance("p", self.p),
        )

    def shift(self, params: ShadowParams, at: Tensor) -> Tensor:
        """The attenuation, with edges that fade over a quarter of the half width and over 2 % of the frame in depth."""
        apex, slope, half, top, loss = (x.to(at) for x in vars(params).values())
        from_apex = at - apex[:, None, None]
        beam = from_apex[..., 0] / from_apex[..., 1].clamp(min=1e-6)
        away = (beam - slope[:, None, None]).abs() / half[:, None, None]
        inside = ((1.25 - away) / 0.25).clamp(0, 1)
        below = ((at[..., 1] - top[:, None, None]) / 0.02).clamp(0, 1)
        return -inside * below * (loss / self.dynamic_range_db)[:, None, None]


@dataclass(frozen=True)
class SectorMaskParams(Params):
    """Drawn sector shapes.

    Attributes:
        apex: `(batch, 2)` where the beams meet, shares of the original frame.
        slope: `(batch,)` the outermost beam's x over y from the apex.
        bottom: `(batch,)` depth at which the image ends straight below the apex, share of the original frame's height.
        aspect: `(batch,)` width over height of the original frame, which makes the lower end an arc about the apex.
    """

    apex: Tensor
    slope: Tensor
    bottom: Tensor
    aspect: Tensor


class SectorMask(FieldOp[SectorMaskParams]):
    """Blackens what a narrower or shallower sector would not show.

    Attributes:
        opening: smallest and largest width of the sector at its lower end, share of its box's.
        depth: smallest and largest depth, share of its box's.
        apex: height above the sector's top at which its beams meet, in sector heights; large for linear arrays.
    """

    name: Literal["sector_mask"] = "sector_mask"
    opening: PositiveRange = (0.8, 1.0)
    depth: PositiveRange = (0.85, 1.0)
    apex: Annotated[float, Field(gt=0)] = 0.3

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> SectorMaskParams:
        """Draws opening and depth uniformly."""
        seeds = Seeds.of(random, len(batch))
        x0, y0, x1, y1 = sector_in_original(batch).unbind(dim=1)
        wide, high = x1 - x0, y1 - y0
        reach = high * (1 + self.apex)
        return SectorMaskParams(
            apex=torch.stack([(x0 + x1) / 2, y0 - self.apex * high], dim=1),
            slope=seeds.uniform("opening", *self.opening) * wide / reach / 2,
            bottom=y0 + seeds.uniform("depth", *self.depth) * high,
            aspect=_aspect(batch),
        )

    def shift(self, params: SectorMaskParams, at: Tensor) -> Tensor:
        """Far below black outside, 0 inside."""
        apex, slope, bottom, aspect = (x.to(at) for x in vars(params).values())
        x, y = (at - apex[:, None, None]).unbind(dim=-1)
        beam = (x / y.clamp(min=1e-6)).abs() <= slope[:, None, None]
        radius = (y**2 + (x * aspect[:, None, None]) ** 2).sqrt()
        shown = beam & (radius <= (bottom - apex[:, 1])[:, None, None])
        return torch.where(shown, 0.0, _NO_ECHO).to(at)


def _aspect(batch: ClipBatch) -> Tensor:
    extent = batch.window[:, 2:] - batch.window[:, :2]
    pixel = (batch.spacing_mm[:, 1] / batch.spacing_mm[:, 0]).nan_to_num(1.0)
    return batch.size[1] / extent[:, 0] / (batch.size[0] / extent[:, 1]) * pixel


def sector_in_original(batch: ClipBatch) -> Tensor:
    """The sector's box in shares of the original frame: `(batch, 4)`."""
    return bounding_box(batch.in_original(corners_of(batch.sector)))
