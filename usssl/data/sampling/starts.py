"""CATE's pairs: two clips with independent starts (methods/cate)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class IndependentPair(Sampler):
    """Two clips, each with a uniform start.

    Attributes:
        max_shift_s: the second start is uniform over those that lie no farther than this from the first, seconds; by
            default over all.
    """

    name: Literal["independent"] = "independent"
    max_shift_s: Annotated[float, Field(gt=0)] | None = None

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, Clip]:
        """Two clips."""
        windows = self.windows(timeline)
        if not len(windows) or self.max_shift_s is None:
            return self.anywhere(timeline, rng), self.anywhere(timeline, rng)
        starts_s = timeline.times_s[windows[:, 0]]
        first = int(rng.integers(len(windows)))
        near = np.flatnonzero(np.abs(starts_s - starts_s[first]) <= self.max_shift_s)
        return timeline.clip(windows[first]), timeline.clip(windows[rng.choice(near)])
