"""All augmentations of a view in as few passes over the pixels as their kinds allow.

Frames are chosen first; then all maps of coordinates make one resampling from the source frames, all shifts of echo one
pass, all linear colour changes one matrix, and all mixing of frames one product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from usssl.augment.batch import ClipBatch, places
from usssl.augment.blur import GaussianBlur
from usssl.augment.finish import FrameFinish, chunks, finish_clips
from usssl.augment.geometry import compose, identity_matrices
from usssl.augment.op import FrameOp, GeometricOp, Params, Stage, take_frames
from usssl.augment.ops import AnyOp
from usssl.augment.seeds import Seeds
from usssl.augment.view import View
from usssl.augment.warp import warp

_CHUNK_BYTES = 2**28
"""Of floating-point pixels that an accelerator works on at a time; a CPU works on one clip, which fits its cache."""


class ViewAugmentation(BaseModel):
    """The ops of one view, fused.

    Attributes:
        ops: in the order frames, geometry, echo, blur, colour, time, cutout.
        consistent: one draw a clip; otherwise geometry, echo, blur and colour are drawn for each frame anew, a control.
        mean: subtracted from each channel at the end; one number, or three.
        std: by which each channel is divided then.
        dtype: of the result; all work is done in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ops: tuple[AnyOp, ...] = ()
    consistent: bool = True
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for before, after in zip(self.ops, self.ops[1:], strict=False):
            if after.stage < before.stage:
                order = ", ".join(stage.name.lower() for stage in Stage)
                raise ValueError(
                    f"ops: {after.name} ({after.stage.name.lower()}) stands after {before.name} "
                    f"({before.stage.name.lower()}); list the ops in the order {order}"
                )
        if {len(self.mean), len(self.std)} - {1, 3}:
            raise ValueError("mean and std: give one number, or one for each of red, green and blue")
        return self

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses clips of this size (height, width) and length before any work.

        Raises:
            ValueError: naming the op and the argument that does not fit.
        """
        for place, op in enumerate(self.ops):
            try:
                op.check(size, frames)
            except ValueError as error:
                raise ValueError(f"ops.{place}.{error}") from error
            size = op.size_after(size) if isinstance(op, GeometricOp) else size
            frames = op.length_after(frames) if isinstance(op, FrameOp) else frames

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the views of frames of `size`."""
        for op in self.ops:
            size = op.size_after(size) if isinstance(op, GeometricOp) else size
        return size

    def __call__(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> View:
        """Draws parameters and makes the views."""
        return self.apply(batch, self.sample(batch, random))

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> dict[str, Params]:
        """Draws the parameters of all ops, by name (a second `crop` is `crop_2`).

        What depends on the pixels of the view is written into its record by `apply`.
        """
        seeds = Seeds.of(random, len(batch))
        drawn: dict[str, Params] = {}
        facts = batch.facts()
        for name, op in self._named(Stage.FRAMES):
            drawn[name] = op.sample(facts, seeds.child(name))
            facts = _of_frames(facts, op.frames(drawn[name], facts.frames))
        frames = facts.frames
        source = facts if self.consistent else facts.per_frame()
        inner = seeds if self.consistent else seeds.per_frame(frames)
        placed = _Placement.whole(source)
        for name, op in self._named(Stage.GEOMETRY, Stage.ECHO, Stage.BLUR, Stage.COLOUR):
            drawn[name] = op.sample(placed.facts, inner.child(name))
            if isinstance(op, GeometricOp):
                placed = placed.seen_through(op, drawn[name])
        facts = placed.facts if self.consistent else _with_size(facts, placed.facts.size)
        for name, op in self._named(Stage.TIME, Stage.CUTOUT):
            drawn[name] = op.sample(facts, seeds.child(name))
        return drawn

    def apply(self, batch: ClipBatch, drawn: Mapping[str, Params]) -> View:
        """Makes views by these parameters alone."""
        drawn = dict(drawn)
        for name, op in self._named(Stage.FRAMES):
            frames = op.frames(drawn[name], batch.frames)
            batch = replace(_of_frames(batch, frames), pixels=take_frames(batch.pixels, frames))
        source = batch if self.consistent else batch.per_frame()
        placed = _Placement.whole(source.facts())
        for name, op in self._named(Stage.GEOMETRY):
            placed = placed.seen_through(op, drawn[name])
        pixels = self._finished(placed.resample(source), placed, drawn, len(batch))
        if self.consistent:
            return View(pixels, placed.facts, batch.facts(), placed.matrices, drawn)
        nowhere = torch.full((len(batch), 2, 3), torch.nan, dtype=torch.float64)
        return View(pixels, _with_size(batch.facts(), placed.facts.size), batch.facts(), nowhere, drawn)

    def _finished(self, frames: Tensor, placed: _Placement, drawn: dict[str, Params], clips: int) -> Tensor:
        steps = self._named(Stage.ECHO, Stage.BLUR, Stage.COLOUR)
        while steps and isinstance(steps[0][1], GaussianBlur) and frames.dtype == torch.uint8:
            name, op = steps.pop(0)
            frames = op.apply(frames, drawn[name])
        at = placed.places() if any(op.stage == Stage.ECHO for _, op in steps) else None
        finish = FrameFinish(steps, drawn, frames, at)
        each = len(frames) // clips
        shape = (clips, frames.shape[1] * each, *frames.shape[2:])
        out = torch.empty(shape, dtype=getattr(torch, self.dtype), device=frames.device)
        later = self._named(Stage.TIME, Stage.CUTOUT)
        mean, std = (torch.tensor(x, device=frames.device)[:, None, None] for x in (self.mean, self.std))
        for rows in chunks(clips, _clips_at_a_time(frames, clips)):
            inner = slice(rows.start * each, rows.stop * each)
            memory = out[rows] if out.dtype == torch.float32 else torch.empty_like(out[rows], dtype=torch.float32)
            unit = finish(inner, memory.view(frames[inner].shape)).view(memory.shape)
            unit = finish_clips(unit, later, drawn, rows)
            if self.mean != (0.0,) or self.std != (1.0,):
                unit = unit.sub_(mean).div_(std)
            if unit.data_ptr() != out[rows].data_ptr():
                out[rows] = unit
        finish.close()
        return out

    def _named(self, *stages: Stage) -> list[tuple[str, Any]]:
        """The ops of these stages with the names of their parameters; a second `crop` is `crop_2`."""
        seen: dict[str, int] = {}
        named = []
        for op in self.ops:
            seen[op.name] = seen.get(op.name, 0) + 1
            if op.stage in stages:
                named.append((op.name if seen[op.name] == 1 else f"{op.name}_{seen[op.name]}", op))
        return named


@dataclass(frozen=True)
class _Placement:
    """What a view shows of the source frames, as far as its maps have been composed."""

    source: ClipBatch
    matrices: Tensor
    facts: ClipBatch

    @classmethod
    def whole(cls, source: ClipBatch) -> Self:
        return cls(source, identity_matrices(len(source)), source)

    def seen_through(self, op: GeometricOp[Any], params: Params) -> Self:
        size = op.size_after(self.facts.size)
        matrices = compose(self.matrices, op.matrices(params, self.facts.size))
        return replace(self, matrices=matrices, facts=self.source.seen_through(matrices, size))

    def resample(self, clips: ClipBatch) -> Tensor:
        if self.facts is self.source:
            return clips.pixels
        return warp(clips.pixels, self.matrices, self.facts.size)

    def places(self) -> Tensor:
        return places(self.source, self.matrices, self.facts.size)


def _clips_at_a_time(frames: Tensor, clips: int) -> int:
    """One clip stays in a CPU's cache; an accelerator wants all that fit into its memory budget."""
    if frames.device.type == "cpu":
        return 1
    return max(1, _CHUNK_BYTES * clips // (4 * frames.numel()))


def _of_frames(facts: ClipBatch, frames: Tensor) -> ClipBatch:
    """The facts of clips made of these frames, `(batch, time)`."""
    shape = (len(facts), frames.shape[1], *facts.pixels.shape[2:])
    nothing = torch.empty(shape, dtype=facts.pixels.dtype, device="meta")
    return replace(facts, pixels=nothing, times_s=facts.times_s.gather(1, frames))


def _with_size(facts: ClipBatch, size: tuple[int, int]) -> ClipBatch:
    """The facts of clips whose frames show different parts of the source: where they lie is not known."""
    nothing = torch.empty((*facts.pixels.shape[:3], *size), dtype=facts.pixels.dtype, device="meta")
    sector = torch.tensor([0.0, 0.0, size[1], size[0]], dtype=torch.float64).expand(len(facts), 4)
    unknown = torch.full_like(facts.window, torch.nan)
    return replace(facts, pixels=nothing, sector=sector, window=unknown, spacing_mm=unknown[:, :2])
