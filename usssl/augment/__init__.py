"""Augmentations as functions of explicit parameters: `sample → params`, `apply(clips, params)`, `encode(params)`.

A parameter record has one row a clip and travels with the view that it made. Clips are
`(batch, time, channels, height, width)`.
"""

from usssl.augment.affine import Affine, AffineParams
from usssl.augment.batch import ClipBatch
from usssl.augment.geometry import affine_matrix
from usssl.augment.op import Op, Params
from usssl.augment.seeds import Seeds
from usssl.augment.tone import GreyTone, GreyToneParams
from usssl.augment.warp import warp

__all__ = [
    "Affine",
    "AffineParams",
    "ClipBatch",
    "GreyTone",
    "GreyToneParams",
    "Op",
    "Params",
    "Seeds",
    "affine_matrix",
    "warp",
]
