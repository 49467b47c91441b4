"""The `augment:` block of a recipe: a method's preset with switches, or the views op by op."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usssl.augment.compose import ViewAugmentation
from usssl.augment.encode import Encodings
from usssl.augment.op import Probability
from usssl.augment.presets import PRESETS, Lossy, Preset

Share = Annotated[float, Field(gt=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]


class AugmentArguments(BaseModel):
    """How views are made. Switches that are left out are as the method's page has them.

    Attributes:
        preset: whose augmentation; a switch that it does not have is refused.
        views: the views op by op, in place of a preset.
        size: height and width of a view, pixels; goes with a preset.
        ultrasound: ranges for ultrasound rather than for natural video.
        consistent: one draw a clip; false draws for each frame anew, a control.
        area: smallest and largest share of the frame's area that crops show.
        flip: chance of exchanging left and right.
        plus: CEP's stronger set.
        tca: VTDL's alpha; 0 switches TCA off.
        lossy: an operator of the audio-visual study by its name there, or "none".
        intensity: of that operator, 0..1.
        visible: order_transform's middle part of the frame that is shown, as a share of its width and height.
        encodings: what CATE's head is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Preset | None = None
    views: Annotated[tuple[ViewAugmentation, ...], Field(min_length=1)] | None = None
    size: tuple[Pixels, Pixels] | None = None
    ultrasound: bool | None = None
    consistent: bool = True
    area: tuple[Share, Share] | None = None
    flip: Probability | None = None
    plus: bool | None = None
    tca: Annotated[float, Field(ge=0, le=1)] | None = None
    lossy: Lossy | Annotated[str, Field(pattern="^none$")] | None = None
    intensity: Annotated[float, Field(ge=0, le=1)] | None = None
    visible: Share | None = None
    encodings: Encodings = Encodings()

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
            if self.size is None:
                raise ValueError("size: give height and width of a view")
            known = inspect.signature(PRESETS[self.preset]).parameters
            unknown = [key for key in switches if key not in known]
            if unknown:
                raise ValueError(f"{unknown[0]}: the preset {self.preset} has no such switch")
            self.build()
        return self

    def build(self) -> tuple[ViewAugmentation, ...]:
        """The augmentations, one a view."""
        if self.preset is None:
            assert self.views is not None
            views = self.views
        else:
            switches = self._switches()
            if switches.get("lossy") == "none":
                switches["lossy"] = None
            views = PRESETS[self.preset](self.size, **switches)
        if self.consistent:
            return views
        return tuple(view.model_copy(update={"consistent": False}) for view in views)

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses clips of this size (height, width) and length before any work.

        Raises:
            ValueError: naming the key.
        """
        if frames < 1:
            raise ValueError(f"frames: a clip must have at least one frame, got {frames}")
        for place, view in enumerate(self.build()):
            try:
                view.check(size, frames)
            except ValueError as error:
                raise ValueError(f"views.{place}.{error}") from error

    def _switches(self) -> dict[str, Any]:
        names = ("ultrasound", "area", "flip", "plus", "tca", "lossy", "intensity", "visible")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
