"""One clip of a cine, or all of them: random, spread evenly, dense, one frame a segment."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class RandomClip(Sampler):
    """One clip with a uniform start (methods/av_augment, C1), and a random stride where asked for (C2).

    Attributes:
        max_stride: the stride is drawn from `stride..max_stride`; by default it is `stride`.
    """

    name: Literal["random"] = "random"
    max_stride: Annotated[int, Field(ge=1)] | None = None

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip]:
        """One clip."""
        if self.max_stride is None:
            return (self.anywhere(timeline, rng),)
        stride = int(rng.integers(self.stride, max(self.stride, self.max_stride) + 1))
        return (self.model_copy(update={"stride": stride}).anywhere(timeline, rng),)


class UniformClip(Sampler):
    """Frames spread evenly over the whole cine, or over a random span of it; the stride follows from their number.

    Attributes:
        span_s: seconds from the first frame to the last; the whole cine by default or where it is shorter.
    """

    name: Literal["uniform"] = "uniform"
    span_s: Annotated[float, Field(gt=0)] | None = None

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip]:
        """One clip; each frame is the nearest to its time, so that a short cine repeats frames and is flagged."""
        first, last = timeline.times_s[0], timeline.times_s[-1]
        if self.span_s is not None and last - first > self.span_s:
            first = rng.uniform(first, last - self.span_s)
            last = first + self.span_s
        frames = timeline.nearest(np.linspace(first, last, self.frames))
        clip = timeline.clip(frames)
        if self.frames > 1 and (np.diff(frames) < 1).any():
            return (Clip(frames, clip.start_s, np.nan, looped=True),)
        return (clip,)


class EvenClips(Sampler):
    """Several clips whose starts are spread evenly, for evaluation; nothing is random (methods/cate, cvrl, cep).

    Attributes:
        clips: how many.
    """

    name: Literal["even"] = "even"
    clips: Annotated[int, Field(ge=1)] = 8

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, ...]:
        """The clips in the order of time; the first starts with the cine, the last ends with it."""
        windows = self.windows(timeline)
        count = len(windows) or len(timeline)
        starts = np.linspace(0, count - 1, self.clips).round().astype(int) if self.clips > 1 else [(count - 1) // 2]
        if len(windows):
            return tuple(timeline.clip(windows[start]) for start in starts)
        return tuple(self.looped(timeline, int(start)) for start in starts)


class DenseWindows(Sampler):
    """All clips whose starts are `hop` frames apart, and one that ends with the cine, so that every frame is seen.

    Attributes:
        hop: frames from one start to the next.
    """

    name: Literal["dense"] = "dense"
    hop: Annotated[int, Field(ge=1)] = 8

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, ...]:
        """The clips in the order of time; nothing is random."""
        windows = self.windows(timeline)
        if not len(windows):
            return (self.looped(timeline, 0),)
        starts = list(range(0, len(windows), self.hop))
        if starts[-1] != len(windows) - 1:
            starts.append(len(windows) - 1)
        return tuple(timeline.clip(windows[start]) for start in starts)


class SegmentFrames(Sampler):
    """One random frame of each of `frames` equal segments of the cine (methods/av_augment, C3)."""

    name: Literal["segments"] = "segments"

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip]:
        """One clip; a cine with fewer frames than segments repeats some and is flagged."""
        share = len(timeline) / self.frames
        if share < 1:
            frames = np.floor((np.arange(self.frames) + rng.random(self.frames)) * share).astype(np.int64)
            return (Clip(frames, float(timeline.times_s[frames[0]]), np.nan, looped=True),)
        edges = np.arange(self.frames + 1) * len(timeline) // self.frames
        return (timeline.clip(rng.integers(edges[:-1], edges[1:])),)
