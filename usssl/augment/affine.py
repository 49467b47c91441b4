"""Affine transforms with ranges: rotation, translation, scale, shear; and the target that order_transform regresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.geometry import about_centre, affine_matrix, compose, corners, inverse, resize_matrix, transform
from usssl.augment.op import GeometricOp, Params, PositiveRange
from usssl.augment.seeds import Seeds
from usssl.augment.warp import warp


@dataclass(frozen=True)
class AffineParams(Params):
    """Drawn affine transforms, identity where 0, 1, 0, (0, 0).

    Attributes:
        angle_deg: `(batch,)` rotation in degrees, clockwise on a screen.
        scale: `(batch,)` magnification.
        shear_deg: `(batch,)` shear in degrees.
        translation: `(batch, 2)` shift of the content along x and y, in frame widths and heights.
    """

    angle_deg: Tensor
    scale: Tensor
    shear_deg: Tensor
    translation: Tensor


class Affine(GeometricOp[AffineParams]):
    """Rotation, scale, shear and translation about the centre of the frame: content moves by `s R(a) Sh(q) p + d`.

    Attributes:
        rotation: largest angle either way, degrees.
        translation: largest shift either way, as a share of the frame's width and height.
        scale: smallest and largest magnification.
        shear: largest shear angle either way, degrees.
        visible: the middle part of the frame that is shown, as a share of its width and height.
        size: height and width of the result, pixels; those of the frame by default.
        inside: draw anew until no pixel from outside the frame is visible, because fill would give the transform away.
    """

    name: Literal["affine"] = "affine"
    rotation: Annotated[float, Field(ge=0, le=180)] = 45.0
    translation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    scale: PositiveRange = (0.8, 1.2)
    shear: Annotated[float, Field(ge=0, lt=80)] = 20.0
    visible: Annotated[float, Field(gt=0, le=1)] = 1.0
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    inside: bool = False

    @model_validator(mode="after")
    def _fits_at_all(self) -> Self:
        if self.inside and self.scale[1] < self.visible:
            raise ValueError(
                f"with inside, scale must reach visible ({self.visible}) or else every view shows fill; "
                f"raise the upper end of scale ({self.scale[1]}) or lower visible"
            )
        return self

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> AffineParams:
        """Draws uniformly from the ranges; with `inside`, among the transforms that show no fill.

        After 64 draws without success the last one is drawn towards the identity until it fits.
        """
        seeds = Seeds.of(random, len(batch))
        tries = 64 if self.inside else 1
        drawn = seeds.uniform("affine", -1.0, 1.0, count=5 * tries).unflatten(1, (tries, 5))
        if not self.inside:
            return self._from_unit(drawn[:, 0])
        fits = self._fits(drawn.flatten(0, 1), batch.size).unflatten(0, (len(batch), tries))
        first = fits.int().argmax(dim=1)
        chosen = drawn[torch.arange(len(batch)), first]
        return self._from_unit(self._towards_identity(chosen, batch.size))

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """`size` where it is given, else that of the frames."""
        return self.size or size

    def identity(self, rows: int) -> AffineParams:
        """The parameters that change nothing (but for `visible`)."""
        zeros, ones = torch.zeros(rows, dtype=torch.float64), torch.ones(rows, dtype=torch.float64)
        return AffineParams(zeros, ones, zeros, zeros[:, None].expand(rows, 2))

    def matrices(self, params: AffineParams, source: tuple[int, int], target: tuple[int, int] | None = None) -> Tensor:
        """Maps pixels of the view onto pixels of the source: `(batch, 2, 3)` float64.

        Args:
            params: the transforms.
            source: height and width of the source frames.
            target: height and width of the view, which shows the middle `visible` of the frame; else `size_after`.
        """
        target = target or self.size or source
        extent = torch.tensor([source[1], source[0]], dtype=torch.float64)
        forward = affine_matrix(params.angle_deg, params.scale, params.shear_deg, params.translation * extent)
        back = inverse(about_centre(forward, source))
        shown = about_centre(torch.eye(2, dtype=torch.float64)[None] * self.visible, source).expand(len(params), 2, 3)
        return compose(compose(back, shown), resize_matrix(source, target, len(params)))

    def apply(self, clips: Tensor, params: AffineParams, size: tuple[int, int] | None = None) -> Tensor:
        """Warps each clip by its transform, all frames alike, to `size` (height, width; `size_after` by default)."""
        source = (clips.shape[-2], clips.shape[-1])
        size = size or self.size_after(source)
        return warp(clips, self.matrices(params, source, size), size)

    def encode(self, params: AffineParams) -> Tensor:
        """The regression target t of order_transform (its property 3): `(batch, 6)` float32, each in [-1, 1].

        `(cos a, sin a, dx/(m W), dy/(m H), 2(s - s_mid)/(s_hi - s_lo), 2(q - q_mid)/(q_hi - q_lo))`; a component whose
        range is a single point is 0.
        """
        angle = torch.deg2rad(params.angle_deg)
        shift = params.translation / self.translation if self.translation else torch.zeros_like(params.translation)
        low, high = self.scale
        scale = (2 * params.scale - low - high) / (high - low) if high > low else torch.zeros_like(params.scale)
        shear = params.shear_deg / self.shear if self.shear else torch.zeros_like(params.shear_deg)
        return torch.stack([angle.cos(), angle.sin(), shift[:, 0], shift[:, 1], scale, shear], dim=1).float()

    def _from_unit(self, unit: Tensor) -> AffineParams:
        """Parameters from `(rows, 5)` numbers in -1..1."""
        low, high = self.scale
        return AffineParams(
            angle_deg=unit[:, 0] * self.rotation,
            scale=(low + high) / 2 + unit[:, 1] * (high - low) / 2,
            shear_deg=unit[:, 2] * self.shear,
            translation=unit[:, 3:5] * self.translation,
        )

    def _fits(self, unit: Tensor, size: tuple[int, int]) -> Tensor:
        matrices = self.matrices(self._from_unit(unit), size)
        seen = transform(matrices, corners(self.size_after(size), len(unit)))
        limit = torch.tensor([size[1], size[0]], dtype=torch.float64)
        return ((seen >= -1e-6) & (seen <= limit + 1e-6)).all(dim=(1, 2))

    def _towards_identity(self, unit: Tensor, size: tuple[int, int]) -> Tensor:
        """Shrinks those draws that do not fit by 0.9 at a time; at the identity everything fits."""
        identity = torch.zeros(5, dtype=torch.float64)
        low, high = self.scale
        if high > low:
            identity[1] = min(1.0, max(-1.0, (2 - low - high) / (high - low)))
        for shrink in [0.9] * 60 + [0.0]:
            bad = ~self._fits(unit, size)
            unit = torch.where(bad[:, None], identity + shrink * (unit - identity), unit)
        return unit
