"""The base of all typed arguments: of recipes, methods, tasks and augmentations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

VideoKind = Literal["ultrasound", "natural"]
"""What cines show; augmentation differs by it, for colour and left and right mean nothing, or something else."""


class Arguments(BaseModel):
    """A block of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class NamedArguments(Arguments):
    """A block that chooses something by its name, such as a method or a task."""

    name: str


class ClipArguments(Arguments):
    """The clip a method or task sees: `frames` frames, `step` source frames apart, of `size` (height, width) pixels."""

    frames: Positive = 4
    step: Positive = 8
    size: tuple[Positive, Positive] = (112, 144)

    @field_validator("size")
    @classmethod
    def _in_range(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 32 or max(size) > 1024:
            raise ValueError("height and width are from 32 to 1024 pixels")
        return size
