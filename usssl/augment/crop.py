"""Crops, resizings and flips: maps of coordinates without rotation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.geometry import resize_matrix
from usssl.augment.op import GeometricOp, Params, PositiveRange, Probability
from usssl.augment.seeds import Seeds

_TRIES = 16
Pixels = Annotated[int, Field(ge=1)]
Size = tuple[Pixels, Pixels]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class BoxParams(Params):
    """Drawn boxes.

    Attributes:
        box: `(batch, 4)` part of the frame that is shown, `(x0, y0, x1, y1)` in shares of its width and height.
    """

    box: Tensor


@dataclass(frozen=True)
class FlipParams(Params):
    """Drawn mirrorings.

    Attributes:
        horizontal: `(batch,)` left and right exchanged.
        vertical: `(batch,)` top and bottom exchanged.
    """

    horizontal: Tensor
    vertical: Tensor


class _BoxOp(GeometricOp[BoxParams]):
    def encode(self, params: BoxParams) -> Tensor:
        """The box in shares of the frame that was cropped, `(batch, 4)`; that of the whole view is `View.box`."""
        return params.box.float()


class ResizedCrop(_BoxOp):
    """A box of random area, aspect and place, resized.

    Attributes:
        size: height and width of the result, pixels.
        area: smallest and largest share of the area cropped from.
        aspect: smallest and largest width over height in pixels; drawn uniformly in its logarithm.
        within: crop from the whole frame or from the box of the ultrasound image.
        p: chance to crop at all; the rest are resized whole.
    """

    name: Literal["resized_crop"] = "resized_crop"
    size: Size
    area: tuple[Share, Share] = (0.3, 1.0)
    aspect: PositiveRange = (3 / 4, 4 / 3)
    within: Literal["frame", "sector"] = "frame"
    p: Probability = 1.0

    def model_post_init(self, _: object, /) -> None:
        """Refuses an empty range of areas."""
        if self.area[0] > self.area[1]:
            raise ValueError(f"area: the lower end {self.area[0]:g} lies above the upper end {self.area[1]:g}")

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> BoxParams:
        """Draws boxes until one fits into what is cropped from; after 16 misses the last one is cut to fit."""
        seeds = Seeds.of(random, len(batch))
        whole = torch.tensor([0.0, 0.0, batch.size[1], batch.size[0]], dtype=torch.float64).expand(len(batch), 4)
        outer = batch.sector if self.within == "sector" else whole
        width, height = (outer[:, 2] - outer[:, 0])[:, None], (outer[:, 3] - outer[:, 1])[:, None]
        area = seeds.uniform("area", *self.area, count=_TRIES) * width * height
        aspect = seeds.uniform("aspect", math.log(self.aspect[0]), math.log(self.aspect[1]), count=_TRIES).exp()
        wide, high = (area * aspect).sqrt(), (area / aspect).sqrt()
        fits = (wide <= width) & (high <= height)
        fits[:, -1] = True
        first = fits.int().argmax(dim=1, keepdim=True)
        wide = torch.minimum(wide.gather(1, first), width)[:, 0]
        high = torch.minimum(high.gather(1, first), height)[:, 0]
        x = outer[:, 0] + seeds.uniform("x") * (width[:, 0] - wide)
        y = outer[:, 1] + seeds.uniform("y") * (height[:, 0] - high)
        drawn = torch.stack([x, y, x + wide, y + high], dim=1)
        return _boxes(torch.where(seeds.chance("p", self.p)[:, None], drawn, whole), batch)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """`size`, whatever came."""
        return self.size

    def matrices(self, params: BoxParams, size: tuple[int, int]) -> Tensor:
        """Maps the result onto the box."""
        return _box_matrix(params.box, size, self.size)


class Crop(_BoxOp):
    """A box of fixed size, at a random place or in the middle.

    Attributes:
        size: height and width of the box, pixels.
        centre: always the middle.
    """

    name: Literal["crop"] = "crop"
    size: Size
    centre: bool = False

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses frames smaller than the box."""
        if self.size[0] > size[0] or self.size[1] > size[1]:
            raise ValueError(
                f"size: a crop of {self.size[0]} x {self.size[1]} does not fit into frames of {size[0]} x {size[1]} "
                "(height x width); make it smaller or resize before"
            )

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> BoxParams:
        """Draws the place of the box in whole pixels, uniformly."""
        self.check(batch.size, batch.frames)
        seeds = Seeds.of(random, len(batch))
        places = []
        for name, extent, wanted in (("x", batch.size[1], self.size[1]), ("y", batch.size[0], self.size[0])):
            spare = extent - wanted
            middle = torch.full((len(batch),), spare // 2)
            places.append((middle if self.centre else seeds.integers(name, 0, spare + 1)).double())
        x, y = places
        return _boxes(torch.stack([x, y, x + self.size[1], y + self.size[0]], dim=1), batch)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of the box."""
        return self.size

    def matrices(self, params: BoxParams, size: tuple[int, int]) -> Tensor:
        """Maps the result onto the box."""
        return _box_matrix(params.box, size, self.size)


class Resize(GeometricOp[BoxParams]):
    """The whole frame at another size; the aspect changes if the size's does.

    Attributes:
        size: height and width of the result, pixels.
    """

    name: Literal["resize"] = "resize"
    size: Size

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> BoxParams:
        """Draws nothing; the box is the frame."""
        whole = torch.tensor([0.0, 0.0, batch.size[1], batch.size[0]], dtype=torch.float64)
        return _boxes(whole.expand(len(batch), 4), batch)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """`size`, whatever came."""
        return self.size

    def matrices(self, params: BoxParams, size: tuple[int, int]) -> Tensor:
        """Maps the result onto the frame."""
        return _box_matrix(params.box, size, self.size)


_TOUCHES = 1e-6  # pixels by which rounding may let a box reach past the frame


class ShortSideCrop(_BoxOp):
    """Resizes the short side to a random length, then crops a box at a random place (methods/avbert, methods/vtdl).

    Attributes:
        short_side: smallest and largest length of the short side, pixels.
        size: height and width of the box, pixels; it must fit.
    """

    name: Literal["short_side_crop"] = "short_side_crop"
    short_side: PositiveRange = (128, 160)
    size: Size

    def model_post_init(self, _: object, /) -> None:
        """Refuses a box that no frame can hold."""
        if min(self.size) > self.short_side[0]:
            raise self._too_large(f"where the short side is resized to {self.short_side[0]:g} pixels")

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses frames that do not hold the box when they are resized to the smallest length."""
        height, width = (side * self.short_side[0] / min(size) for side in size)
        if self.size[0] > height + _TOUCHES or self.size[1] > width + _TOUCHES:
            raise self._too_large(f"into frames resized to {height:.0f} x {width:.0f} (height x width)")

    def _too_large(self, where: str) -> ValueError:
        return ValueError(
            f"size: a crop of {self.size[0]} x {self.size[1]} does not fit {where}; make it smaller or raise short_side"
        )

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> BoxParams:
        """Draws length and place of the box."""
        self.check(batch.size, batch.frames)
        seeds = Seeds.of(random, len(batch))
        short = seeds.uniform("short_side", *self.short_side)
        scale = min(batch.size) / short
        wide, high = self.size[1] * scale, self.size[0] * scale
        x = seeds.uniform("x") * (batch.size[1] - wide)
        y = seeds.uniform("y") * (batch.size[0] - high)
        return _boxes(torch.stack([x, y, x + wide, y + high], dim=1), batch)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of the box."""
        return self.size

    def matrices(self, params: BoxParams, size: tuple[int, int]) -> Tensor:
        """Maps the result onto the box."""
        return _box_matrix(params.box, size, self.size)


class Flip(GeometricOp[FlipParams]):
    """Mirrors clips. Left and right carry meaning in ultrasound: use it where laterality does not matter.

    Attributes:
        horizontal: chance of exchanging left and right.
        vertical: chance of exchanging top and bottom.
    """

    name: Literal["flip"] = "flip"
    horizontal: Probability = 0.5
    vertical: Probability = 0.0

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> FlipParams:
        """Draws both mirrorings independently."""
        seeds = Seeds.of(random, len(batch))
        return FlipParams(seeds.chance("horizontal", self.horizontal), seeds.chance("vertical", self.vertical))

    def matrices(self, params: FlipParams, size: tuple[int, int]) -> Tensor:
        """Maps x to width - x, y to height - y."""
        sign = 1.0 - 2.0 * torch.stack([params.horizontal, params.vertical], dim=1).double()
        extent = torch.tensor([size[1], size[0]], dtype=torch.float64)
        return torch.cat([torch.diag_embed(sign), ((1 - sign) / 2 * extent)[:, :, None]], dim=2)

    def encode(self, params: FlipParams) -> Tensor:
        """-1 where left and right are exchanged, else +1: `(batch, 1)`."""
        return (1.0 - 2.0 * params.horizontal.float())[:, None]


def _boxes(pixels: Tensor, batch: ClipBatch) -> BoxParams:
    return BoxParams(pixels / torch.tensor(batch.size[::-1] * 2, dtype=torch.float64))


def _box_matrix(box: Tensor, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Maps pixels of a view of `size` onto boxes `(batch, 4)` in shares of frames of `source`."""
    box = box * torch.tensor(source[::-1] * 2, dtype=torch.float64)
    unit = resize_matrix((1, 1), size, len(box))
    extent = box[:, 2:] - box[:, :2]
    return torch.cat([unit[:, :, :2] * extent[:, :, None], box[:, :2, None]], dim=2)
