"""Every op by its name, as recipes give them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from usssl.augment.affine import Affine
from usssl.augment.blur import GaussianBlur
from usssl.augment.colour import ColourJitter, Grey
from usssl.augment.crop import Crop, Flip, Resize, ResizedCrop, ShortSideCrop
from usssl.augment.cutout import TemporalCutout, TubeCutout
from usssl.augment.depth import DepthChange
from usssl.augment.echo import Gain, SectorMask, Shadow, TimeGain
from usssl.augment.frames import FrameDrop, Reversal, SegmentJitter, Shuffle
from usssl.augment.speckle import Speckle
from usssl.augment.temporal import DownUp, SpatioTemporalBlur, StaticBlend, TemporalBlur
from usssl.augment.tone import Gamma, GreyTone, Solarise

AnyOp = Annotated[
    SegmentJitter
    | Shuffle
    | Reversal
    | FrameDrop
    | ResizedCrop
    | Crop
    | Resize
    | ShortSideCrop
    | Flip
    | Affine
    | DepthChange
    | Speckle
    | Gain
    | TimeGain
    | Shadow
    | SectorMask
    | GaussianBlur
    | ColourJitter
    | Grey
    | GreyTone
    | Gamma
    | Solarise
    | StaticBlend
    | TemporalBlur
    | SpatioTemporalBlur
    | DownUp
    | TemporalCutout
    | TubeCutout,
    Field(discriminator="name"),
]
"""Any op, told apart by `name`."""
