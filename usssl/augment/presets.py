"""The augmentations of the methods, as their pages in `methods/` have them; one tuple of views a method.

Where a page states ranges for natural video and others for ultrasound, `ultrasound` chooses. Ranges that a page marks
as not found are its recommendations. Colour jitter and grey are listed after blur, before which the pages have them:
the two commute, but only where no value is clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from usssl.augment.affine import Affine
from usssl.augment.blur import GaussianBlur
from usssl.augment.colour import ColourJitter, Grey
from usssl.augment.compose import ViewAugmentation
from usssl.augment.crop import Flip, ResizedCrop, ShortSideCrop
from usssl.augment.cutout import TemporalCutout, TubeCutout
from usssl.augment.echo import Gain
from usssl.augment.frames import FrameDrop, Reversal, Shuffle
from usssl.augment.op import Op, Stage
from usssl.augment.temporal import DownUp, SpatioTemporalBlur, StaticBlend, TemporalBlur
from usssl.augment.tone import Gamma, GreyTone, Solarise

Preset = Literal["order_transform", "cep", "cate", "cvrl", "vtdl", "avbert", "av_augment"]
Lossy = Literal["L1", "L2", "L3", "L4", "L5", "N1", "N2", "N4"]
Size = tuple[int, int]
Area = tuple[float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

LOSSY: dict[str, Callable[[float], Op[Any]]] = {
    "L1": lambda r: TemporalBlur(intensity=r),
    "L2": lambda r: SpatioTemporalBlur(intensity=r),
    "L3": lambda r: TemporalCutout(intensity=r),
    "L4": lambda r: TubeCutout(intensity=r),
    "L5": lambda r: DownUp(intensity=r),
    "N1": lambda r: Shuffle(intensity=r),
    "N2": lambda r: Reversal(),
    "N4": lambda r: FrameDrop(intensity=r),
}
"""The operators of methods/av_augment by their names there; L6 is the preset itself, N3 is `consistent: false`."""


def order_transform(size: Size, flip: float = 0.0, visible: float = 0.5) -> tuple[ViewAugmentation, ...]:
    """The clip as it is, and a transformed copy; both show the middle of the frame, so that no fill shows.

    Half of the frame is the most that leaves room for rotations of 45 degrees; with more, transforms become milder.
    """
    tone = GreyTone(brightness=0.25, gamma=0.25)
    still = Affine(rotation=0, translation=0, scale=(1, 1), shear=0, visible=visible, size=size)
    moved = Affine(rotation=45, translation=0.1, scale=(0.8, 1.2), shear=20, visible=visible, inside=True, size=size)
    flips = [Flip(horizontal=flip)] if flip else []
    return _views([*flips, still, tone], [*flips, moved, tone])


def cep(
    size: Size, ultrasound: bool = True, area: Area | None = None, flip: float | None = None, plus: bool = False
) -> tuple[ViewAugmentation, ...]:
    """Two views of the same frames, query and key, each with its own draw.

    Args:
        size: height and width.
        ultrasound: no hue and saturation, milder crops, no flip.
        area: share of the frame that crops show.
        flip: chance.
        plus: the stronger set, with blur.
    """
    crop = _crop(size, area or ((0.7, 1.0) if ultrasound else (0.4, 1.0)), flip, ultrasound)
    if ultrasound:
        colours: list[Any] = [ColourJitter(brightness=0.4, contrast=0.4, saturation=0, hue=0, p=0.8 if plus else 1)]
    else:
        hue, chance = (0.1, 0.8) if plus else (0.4, 1.0)
        colours = [ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=hue, p=chance), Grey(p=0.2)]
    view = [*crop, *([GaussianBlur(p=0.5)] if plus else []), *colours]
    return _views(view, view, natural=not ultrasound)


def cvrl(
    size: Size, ultrasound: bool = True, area: Area | None = None, flip: float | None = None
) -> tuple[ViewAugmentation, ...]:
    """Two views with the asymmetric blur and solarising of the released code.

    In ultrasound: gain, gamma and contrast in place of hue, saturation and grey; flips only where asked for.
    """
    crop = [
        ResizedCrop(size=size, area=area or ((0.6, 1.0) if ultrasound else (0.3, 1.0)), aspect=(0.5, 2.0)),
        *_flip(flip, ultrasound),
    ]
    if ultrasound:
        before: list[Any] = [Gain(gain_db=(-6, 6))]
        after: list[Any] = [
            ColourJitter(brightness=0, contrast=0.4, saturation=0, hue=0),
            Gamma(gamma=(0.75, 1.25)),
        ]
    else:
        before = []
        after = [ColourJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, p=0.8), Grey(p=0.2)]
    return _views(
        [*crop, *before, GaussianBlur(p=1.0), *after], [*crop, *before, GaussianBlur(p=0.1), *after, Solarise(p=0.2)]
    )


def cate(
    size: Size, ultrasound: bool = True, area: Area | None = None, flip: float | None = None
) -> tuple[ViewAugmentation, ...]:
    """Two views alike, CVRL's second without solarising; crop, flip and time are what is encoded, the rest is not."""
    view = [op for op in cvrl(size, ultrasound, area, flip)[1].ops if not isinstance(op, Solarise)]
    return _views(view, view)


def vtdl(
    size: Size, ultrasound: bool = True, flip: float | None = None, tca: float = 0.1
) -> tuple[ViewAugmentation, ...]:
    """Anchor, positive and negative; the anchor is blended with one of its own frames (TCA).

    Args:
        size: height and width.
        ultrasound: no hue and saturation.
        flip: chance; the published set has none.
        tca: alpha; 0 switches TCA off.
    """
    short = min(size) * 256 / 224
    basic: list[Any] = [
        *_flip(flip, ultrasound=True),
        Affine(rotation=10, translation=0, scale=(1, 1), shear=0),
        ShortSideCrop(short_side=(short, short), size=size),
        ColourJitter(
            brightness=0.5, contrast=0.5, saturation=0 if ultrasound else 0.25, hue=0 if ultrasound else 0.5, p=1
        ),
    ]
    anchor = [*basic, StaticBlend(alpha=tca)] if tca else basic
    return _views(anchor, basic, basic, natural=not ultrasound)


def avbert(size: Size, ultrasound: bool = True, flip: float | None = None) -> tuple[ViewAugmentation, ...]:
    """One view: short side jitter 128..160 for a crop of 112, flip; one draw for all frames of all segments."""
    low, high = (min(size) * side / 112 for side in (128, 160))
    ops = [*_flip(flip, ultrasound), ShortSideCrop(short_side=(low, high), size=size)]
    view = ViewAugmentation(ops=tuple(ops), mean=(0.45,), std=(0.225,))
    return (view,)


def av_augment(
    size: Size,
    ultrasound: bool = True,
    area: Area | None = None,
    flip: float | None = None,
    lossy: Lossy | None = "L1",
    intensity: float = 0.5,
) -> tuple[ViewAugmentation, ...]:
    """Two views alike: crop, flip, colour jitter and grey with one draw a clip (L6), then one lossy operator.

    Args:
        size: height and width.
        ultrasound: no hue, saturation and grey; no flip.
        area: share of the frame that crops show.
        flip: chance.
        lossy: the operator, by its name in methods/av_augment; None for sampling-based augmentation only.
        intensity: r in 0..1.
    """
    crop = _crop(size, area or ((0.6, 1.0) if ultrasound else (0.3, 1.0)), flip, ultrasound)
    strength = 0.0 if ultrasound else 0.4
    colours: list[Any] = [ColourJitter(saturation=strength, hue=strength / 4)]
    colours += [] if ultrasound else [Grey()]
    operator = [] if lossy is None else [LOSSY[lossy](intensity)]
    first = [op for op in operator if op.stage == Stage.FRAMES]
    last = [op for op in operator if op.stage != Stage.FRAMES]
    view = [*first, *crop, *colours, *last]
    return _views(view, view)


PRESETS: dict[str, Callable[..., tuple[ViewAugmentation, ...]]] = {
    "order_transform": order_transform,
    "cep": cep,
    "cate": cate,
    "cvrl": cvrl,
    "vtdl": vtdl,
    "avbert": avbert,
    "av_augment": av_augment,
}


def _crop(size: Size, area: Area, flip: float | None, ultrasound: bool) -> list[Any]:
    return [ResizedCrop(size=size, area=area), *_flip(flip, ultrasound)]


def _flip(flip: float | None, ultrasound: bool) -> list[Any]:
    chance = (0.0 if ultrasound else 0.5) if flip is None else flip
    return [Flip(horizontal=chance)] if chance else []


def _views(*views: list[Any], natural: bool = False) -> tuple[ViewAugmentation, ...]:
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if natural else ((0.0,), (1.0,))
    return tuple(ViewAugmentation(ops=tuple(ops), mean=mean, std=std) for ops in views)
