"""The `augment:` block of a recipe: a method's preset with switches, or the views op by op."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from usssl.augment.compose import ViewAugmentation
from usssl.augment.op import FrameOp, Probability, ordered
from usssl.augment.presets import PRESETS, Lossy, Preset

Share = Annotated[float, Field(gt=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]
Size = tuple[int, int]

SWITCHES = ("ultrasound", "area", "flip", "plus", "tca", "lossy", "intensity", "visible")
"""What presets may be told besides the size; each has some of them."""
_ANY_SIZE = (112, 112)


class AugmentArguments(BaseModel):
    """How views are made. Switches that are left out are as the method's page has them.

    Attributes:
        preset: whose augmentation; a switch that it does not have is refused.
        views: the views op by op, in place of a preset.
        size: height and width of a view, pixels; goes with a preset. In a recipe the clip's, where it is left out.
        ultrasound: ranges for ultrasound rather than for natural video.
        consistent: one draw a clip; false draws for each frame anew, a control.
        area: smallest and largest share of the frame's area that crops show.
        flip: chance of exchanging left and right.
        plus: CEP's stronger set.
        tca: VTDL's alpha; 0 switches TCA off.
        lossy: an operator of the audio-visual study by its name there, or "none".
        intensity: of that operator, 0..1.
        visible: order_transform's middle part of the frame that is shown, as a share of its width and height.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Preset | None = None
    views: Annotated[tuple[ViewAugmentation, ...], Field(min_length=1)] | None = None
    size: tuple[Pixels, Pixels] | None = None
    ultrasound: bool | None = None
    consistent: bool = True
    area: Annotated[tuple[Share, Share], AfterValidator(ordered)] | None = None
    flip: Probability | None = None
    plus: bool | None = None
    tca: Annotated[float, Field(ge=0, le=1)] | None = None
    lossy: Lossy | Annotated[str, Field(pattern="^none$")] | None = None
    intensity: Annotated[float, Field(ge=0, le=1)] | None = None
    visible: Share | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        switches = self._switches()
        if (self.preset is None) == (self.views is None):
            raise ValueError("preset and views: give the one or the other")
        if self.preset is None:
            given = [key for key in ("size", *switches) if getattr(self, key) is not None]
            if given:
                raise ValueError(f"{given[0]}: goes with a preset; without one, write it into views")
        else:
            known = switches_of(self.preset)
            unknown = [key for key in switches if key not in known]
            if unknown:
                raise ValueError(
                    f"{unknown[0]}: the preset {self.preset} has no such switch; it has {', '.join(known)}"
                )
            self.build(_ANY_SIZE if self.size is None else None)
        return self

    def build(self, size: Size | None = None) -> tuple[ViewAugmentation, ...]:
        """The augmentations, one a view.

        Args:
            size: height and width of a view, where the block leaves them out.

        Raises:
            ValueError: naming the key that does not fit.
        """
        if self.preset is None:
            assert self.views is not None
            views = self.views
        else:
            switches = self._switches()
            if switches.get("lossy") == "none":
                switches["lossy"] = None
            if self.size is None and size is None:
                raise ValueError("size: give height and width of a view")
            try:
                views = PRESETS[self.preset](self.size or size, **switches)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                said = first["msg"].removeprefix("Value error, ")
                raise ValueError(": ".join([*map(str, first["loc"]), said])) from error
        if self.consistent:
            return views
        return tuple(view.model_copy(update={"consistent": False}) for view in views)

    def check(self, size: Size, frames: int, view_size: Size | None = None) -> None:
        """Refuses clips that these views cannot be made of, before any work.

        Args:
            size: height and width of the frames.
            frames: of a clip.
            view_size: height and width that every view must have, where they must.

        Raises:
            ValueError: naming the key.
        """
        if frames < 1:
            raise ValueError(f"frames: a clip must have at least one frame, got {frames}")
        for place, view in enumerate(self.build(view_size)):
            key = "size" if self.preset else f"views.{place}"
            try:
                view.check(size, frames)
            except ValueError as error:
                raise ValueError(f"views.{place}.{error}") from error
            made = view.size_after(size)
            if view_size is not None and made != view_size:
                raise ValueError(
                    f"{key}: makes views of {made[0]} x {made[1]} where {view_size[0]} x {view_size[1]} are needed "
                    "(height x width); end with a crop or resize to that size"
                )
            left = frames
            for op in view.ops:
                left = op.length_after(left) if isinstance(op, FrameOp) else left
            if view_size is not None and left != frames:
                raise ValueError(f"{key}: makes views of {left} frames of clips of {frames}")

    def _switches(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SWITCHES if getattr(self, name) is not None}


def switches_of(preset: str) -> tuple[str, ...]:
    """The switches that a preset has."""
    return tuple(name for name in inspect.signature(PRESETS[preset]).parameters if name in SWITCHES)


def views_of(preset: str) -> int:
    """How many views a preset makes."""
    return len(PRESETS[preset](_ANY_SIZE))
