"""Augmentations as functions of explicit parameters: `sample → params`, `apply(clips, params)`, `encode(params)`.

A parameter record has one row a clip and travels with the view that it made. Clips are
`(batch, time, channels, height, width)`. `ViewAugmentation` fuses the ops of a view; `AugmentArguments` builds those
of the methods from a recipe.
"""

from usssl.augment.affine import Affine, AffineParams
from usssl.augment.arguments import AugmentArguments, switches_of, views_of
from usssl.augment.batch import ClipBatch
from usssl.augment.compose import ViewAugmentation
from usssl.augment.encode import Encoding, Encodings
from usssl.augment.geometry import affine_matrix
from usssl.augment.op import Op, Params, Stage
from usssl.augment.ops import AnyOp
from usssl.augment.seeds import Seeds
from usssl.augment.tone import GreyTone, GreyToneParams
from usssl.augment.view import View
from usssl.augment.warp import warp

__all__ = [
    "Affine",
    "AffineParams",
    "AnyOp",
    "AugmentArguments",
    "ClipBatch",
    "Encoding",
    "Encodings",
    "GreyTone",
    "GreyToneParams",
    "Op",
    "Params",
    "Seeds",
    "Stage",
    "View",
    "ViewAugmentation",
    "affine_matrix",
    "switches_of",
    "views_of",
    "warp",
]
