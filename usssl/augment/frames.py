"""Choices of frames within a clip: jitter within segments, and the controls that break the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.op import FrameOp, Params, Probability
from usssl.augment.seeds import Seeds

Intensity = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class FrameParams(Params):
    """Drawn frames.

    Attributes:
        source: `(batch, time)` which frame of the clip stands at each place.
    """

    source: Tensor


class _FrameChoice(FrameOp[FrameParams]):
    def frames(self, params: FrameParams, frames: int) -> Tensor:
        """The drawn frames."""
        return params.source


class SegmentJitter(_FrameChoice):
    """One random frame of each of `frames` equal segments of the clip (methods/av_augment, C3).

    Attributes:
        frames_out: frames in the result; the clip must have at least as many.
    """

    name: Literal["segment_jitter"] = "segment_jitter"
    frames_out: Annotated[int, Field(ge=1)]

    def check(self, size: tuple[int, int], frames: int) -> None:
        """Refuses clips with fewer frames than segments."""
        if frames < self.frames_out:
            raise ValueError(f"frames_out: a clip of {frames} frames cannot be cut into {self.frames_out} segments")

    def length_after(self, frames: int) -> int:
        """`frames_out`."""
        return self.frames_out

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> FrameParams:
        """Draws uniformly within each segment."""
        self.check(batch.size, batch.frames)
        drawn = Seeds.of(random, len(batch)).uniform("segment", count=self.frames_out)
        edges = torch.arange(self.frames_out + 1) * batch.frames // self.frames_out
        return FrameParams(edges[:-1] + (drawn * torch.diff(edges)).long())


class Shuffle(_FrameChoice):
    """Permutes a share of the places at random, a control (methods/av_augment, N1).

    Attributes:
        intensity: r, the share of places whose frames are shuffled among each other.
    """

    name: Literal["shuffle"] = "shuffle"
    intensity: Intensity = 1.0

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> FrameParams:
        """Chooses `round(r T)` places and moves each one's frame to the next of them in a random cycle."""
        seeds = Seeds.of(random, len(batch))
        source = torch.arange(batch.frames).repeat(len(batch), 1)
        chosen = seeds.permutation("places", batch.frames)[:, : round(self.intensity * batch.frames)]
        return FrameParams(source.scatter(1, chosen, chosen.roll(1, dims=1)))


class Reversal(_FrameChoice):
    """Plays clips backwards, a control (methods/av_augment, N2).

    Attributes:
        p: chance.
    """

    name: Literal["reversal"] = "reversal"
    p: Probability = 1.0

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> FrameParams:
        """Draws which clips are reversed."""
        forward = torch.arange(batch.frames)
        back = Seeds.of(random, len(batch)).chance("reversal", self.p)
        return FrameParams(torch.where(back[:, None], forward.flip(0), forward))


class FrameDrop(_FrameChoice):
    """Replaces frames by the one before, a control (methods/av_augment, N4); the first frame stays.

    Attributes:
        intensity: r; each frame is dropped with probability r / 2.
    """

    name: Literal["frame_drop"] = "frame_drop"
    intensity: Intensity = 0.5

    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> FrameParams:
        """Draws each place independently."""
        dropped = Seeds.of(random, len(batch)).uniform("drop", count=batch.frames) < self.intensity / 2
        dropped[:, 0] = False
        kept = torch.where(dropped, 0, torch.arange(batch.frames))
        return FrameParams(kept.cummax(dim=1).values)
