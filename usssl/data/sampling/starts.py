"""CATE's pairs: two clips with independent starts, and paces where asked for (methods/cate)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class IndependentPair(Sampler):
    """Two clips, each with a uniform start.

    Attributes:
        max_shift_s: the second start is uniform over those that lie no farther than this from the first, seconds; by
            default over all.
        max_stride: each clip's stride is drawn from `stride..max_stride`, so that one may play faster; by default both
            are `stride`.
    """

    name: Literal["independent"] = "independent"
    max_shift_s: Annotated[float, Field(gt=0)] | None = None
    max_stride: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _paces(self) -> Self:
        if self.max_stride is not None and (self.step_s is not None or self.max_stride < self.stride):
            raise ValueError("max_stride: goes with a stride that is not larger, and not with step_s")
        return self

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, Clip]:
        """Two clips."""
        one, other = self._paced(rng), self._paced(rng)
        windows, others = one.windows(timeline), other.windows(timeline)
        if self.max_shift_s is None or not len(windows) or not len(others):
            return one.anywhere(timeline, rng), other.anywhere(timeline, rng)
        first = int(rng.integers(len(windows)))
        apart_s = np.abs(timeline.times_s[others[:, 0]] - timeline.times_s[windows[first, 0]])
        near = np.flatnonzero(apart_s <= max(self.max_shift_s, apart_s.min()))
        return timeline.clip(windows[first]), timeline.clip(others[rng.choice(near)])

    def _paced(self, rng: np.random.Generator) -> Self:
        if self.max_stride is None:
            return self
        return self.model_copy(update={"stride": int(rng.integers(self.stride, self.max_stride + 1))})
