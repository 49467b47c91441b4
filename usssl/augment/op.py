"""The contract of every augmentation: typed arguments, a record of drawn parameters, pixels changed by these alone.

The kind of an op (a map of coordinates, a colour matrix, a matrix over time, …) is what lets `ViewAugmentation` fuse
it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from usssl.augment.batch import ClipBatch, places
from usssl.augment.geometry import identity_matrices
from usssl.augment.pixels import like, to_unit
from usssl.augment.seeds import Seeds
from usssl.augment.warp import warp


@dataclass(frozen=True)
class Params:
    """What was drawn for each clip: tensors on the CPU, one row a clip."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def rows(self, index: slice | Tensor) -> Self:
        """The parameters of some clips."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Params]) -> Params:
        """One record of the rows of several records of the same type, in order."""
        if len(parts) == 1:
            return parts[0]
        columns = {f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(parts[0])}
        return type(parts[0])(**columns)

    def row(self, index: int) -> dict[str, Any]:
        """One clip's parameters as plain numbers, for people."""
        return {f.name: getattr(self, f.name)[index].tolist() for f in fields(self)}


P = TypeVar("P", bound=Params)


class Stage(IntEnum):
    """When an op acts; a view's ops must be listed in this order."""

    FRAMES = 0
    GEOMETRY = 1
    ECHO = 2
    BLUR = 3
    COLOUR = 4
    TIME = 5
    CUTOUT = 6


def ordered(limits: tuple[float, float]) -> tuple[float, float]:
    """Refuses a range whose lower end lies above its upper end."""
    if limits[0] > limits[1]:
        raise ValueError(f"the lower end {limits[0]:g} lies above the upper end {limits[1]:g}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(ordered)]
"""Two numbers, the lower first."""
PositiveRange = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], AfterValidator(ordered)]
"""Two positive numbers, the lower first."""
NonNegativeRange = Annotated[
    tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(ordered)
]
"""Two numbers from 0 up, the lower first."""
Probability = Annotated[float, Field(ge=0, le=1)]


class Op(BaseModel, ABC, Generic[P]):
    """An augmentation: its fields are its arguments as a recipe gives them, checked when it is built.

    Ops keep no state: what `apply` does depends on the clips and the parameters alone. Ops for which an encoding makes
    sense have `encode(params)`, `(batch, numbers)`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    stage: ClassVar[Stage]

    @abstractmethod
    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> P:
        """Draws parameters, one row a clip.

        Args:
            batch: the clips; ops look at their facts, seldom at their pixels.
            random: seeds, one a clip, or a torch generator (None: torch's global one).
        """

    @abstractmethod
    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Applies each row of the parameters to all frames of its clip, and returns new clips of the same dtype.

        Args:
            clips: `(batch, time, channels, height, width)`, uint8 in 0..255 or floating in 0..1.
            params: as `sample` gave them.
        """

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses clips of this size (height, width) and length before any work.

        Raises:
            ValueError: naming the argument that does not fit.
        """


class GeometricOp(Op[P]):
    """An affine map of coordinates; any number of them cost one resampling."""

    stage: ClassVar[Stage] = Stage.GEOMETRY

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what this op makes of frames of `size`."""
        return size

    @abstractmethod
    def matrices(self, params: P, size: tuple[int, int]) -> Tensor:
        """Maps pixels of the result onto pixels of frames of `size`: `(batch, 2, 3)` float64."""

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Resamples each clip by its map, all frames alike."""
        size = (clips.shape[-2], clips.shape[-1])
        return warp(clips, self.matrices(params, size), self.size_after(size))


class FrameOp(Op[P]):
    """A choice of frames: those of the result are bitwise those of the clip."""

    stage: ClassVar[Stage] = Stage.FRAMES

    def length_after(self, frames: int) -> int:
        """Frames in the result of a clip of `frames`."""
        return frames

    @abstractmethod
    def frames(self, params: P, frames: int) -> Tensor:
        """Which frame stands at each place of the result: `(batch, time)` int64."""

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Takes the chosen frames."""
        return take_frames(clips, self.frames(params, clips.shape[1]))


class TemporalOp(Op[P]):
    """A matrix over time whose rows sum to 1; any number of them cost one product."""

    stage: ClassVar[Stage] = Stage.TIME

    @abstractmethod
    def weights(self, params: P, frames: int) -> Tensor:
        """How much of each frame goes into each frame of the result: `(batch, time, time)` float64."""

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Mixes the frames of each clip."""
        return like(mix_frames(to_unit(clips), self.weights(params, clips.shape[1])), clips)


class PixelOp(Op[P]):
    """A change of grey levels in floating point."""

    stage: ClassVar[Stage] = Stage.COLOUR

    @abstractmethod
    def change(self, unit: Tensor, params: P) -> Tensor:
        """Changes clips in 0..1, which may be overwritten; the result may leave 0..1."""

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Changes grey levels and keeps them in range."""
        return like(self.change(to_unit(clips), params).clamp_(0, 1), clips)


class FieldOp(Op[P]):
    """A shift of grey levels that depends on the place in the original frame; any number of them cost one pass.

    Log-compressed ultrasound turns a change of the echo in decibels into such a shift. Black stays black, because there
    is no echo to amplify outside the sector.
    """

    stage: ClassVar[Stage] = Stage.ECHO

    @abstractmethod
    def shift(self, params: P, at: Tensor) -> Tensor:
        """The shift in grey levels of 0..1 at places of the original frame.

        Args:
            params: as sampled.
            at: `(batch, height, width, 2)` x and y of each pixel in shares of the original frame.

        Returns:
            `(batch, height, width)`.
        """

    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Shifts the grey levels of clips of whole original frames."""
        at = places(ClipBatch(clips).facts(), identity_matrices(len(clips)), (clips.shape[-2], clips.shape[-1]))
        return like(shift_echoes(to_unit(clips), self.shift(params, at.to(clips.device))).clamp_(0, 1), clips)


def shift_echoes(unit: Tensor, shift: Tensor) -> Tensor:
    """Adds `(batch, height, width)` to clips in 0..1, in proportion where they are nearly black (below 0.04)."""
    lit = (unit * 25).clamp_(max=1)
    return unit.add_(lit.mul_(shift.to(unit.device, unit.dtype)[:, None, None]))


def take_frames(clips: Tensor, frames: Tensor) -> Tensor:
    """Takes frames `(batch, time)` of clips, bitwise."""
    rows = torch.arange(len(clips), device=clips.device)[:, None]
    return clips[rows, frames.to(clips.device)]


def mix_frames(unit: Tensor, weights: Tensor) -> Tensor:
    """Multiplies clips by matrices over time, `(batch, time, time)`."""
    weights = weights.to(unit.device, unit.dtype)
    return torch.bmm(weights, unit.flatten(2)).unflatten(2, unit.shape[2:])
