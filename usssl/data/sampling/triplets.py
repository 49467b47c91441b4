"""VTDL's triplets: an anchor, the same frames again, and a clip from another time of the same cine.

This is the clean version of methods/vtdl, Inputs: starts over the true range, a minimum distance that holds whenever
the cine allows it, no wrap-around of the negative's start, and seconds where asked for.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


def overlap(a: Clip, b: Clip) -> float:
    """Intersection over union of the spans of two clips, in frames of the cine."""
    low, high = (int(clip.frames.min()) for clip in (a, b)), (int(clip.frames.max()) for clip in (a, b))
    (a0, b0), (a1, b1) = low, high
    return max(0, min(a1, b1) - max(a0, b0) + 1) / (max(a1, b1) - min(a0, b0) + 1)


class Triplet(Sampler):
    """Anchor, positive and negative.

    Attributes:
        min_distance: least distance of the negative's start from the anchor's, in frames of the cine; by default a
            quarter of the clip's span, at least 2.
        min_distance_s: the same in seconds, in place of it.
        max_overlap: largest intersection over union of the two spans.
        cycle_s: length of a cycle, such as a heart beat: starts at the same phase, within a tenth of a cycle, are
            avoided because they show nearly the same.
    """

    name: Literal["triplet"] = "triplet"
    stride: Annotated[int, Field(ge=1)] = 4
    min_distance: Annotated[int, Field(ge=1)] | None = None
    min_distance_s: Annotated[float, Field(gt=0)] | None = None
    max_overlap: Annotated[float, Field(ge=0, le=1)] = 1.0
    cycle_s: Annotated[float, Field(gt=0)] | None = None

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, Clip, Clip]:
        """The three clips; where no start is far enough, the negative is the farthest there is."""
        windows = self.windows(timeline)
        if not len(windows):
            start = int(rng.integers(len(timeline)))
            anchor = self.looped(timeline, start)
            return anchor, anchor, self.looped(timeline, (start + len(timeline) // 2) % len(timeline))
        a = int(rng.integers(len(windows)))
        fits = np.flatnonzero(self._fits(timeline, windows, a))
        b = int(rng.choice(fits)) if len(fits) else int(np.abs(windows[:, 0] - windows[a, 0]).argmax())
        anchor = timeline.clip(windows[a])
        return anchor, anchor, timeline.clip(windows[b])

    def distance(self, windows: np.ndarray) -> int:
        """The least distance in frames, where it is not given in seconds."""
        return self.min_distance or max(2, int(windows[0, -1] - windows[0, 0] + 1) // 4)

    def _fits(self, timeline: Timeline, windows: np.ndarray, anchor: int) -> np.ndarray:
        """Bool `(clips,)`: far enough from the anchor, not too much in common with it, at another phase."""
        apart = np.abs(windows[:, 0] - windows[anchor, 0])
        apart_s = np.abs(timeline.times_s[windows[:, 0]] - timeline.times_s[windows[anchor, 0]])
        fits = apart >= self.distance(windows) if self.min_distance_s is None else apart_s >= self.min_distance_s
        low = np.maximum(windows[:, 0], windows[anchor, 0])
        high = np.minimum(windows[:, -1], windows[anchor, -1])
        union = np.maximum(windows[:, -1], windows[anchor, -1]) - np.minimum(windows[:, 0], windows[anchor, 0]) + 1
        fits &= np.maximum(0, high - low + 1) / union <= self.max_overlap
        if self.cycle_s is not None:
            phase = apart_s / self.cycle_s % 1.0
            fits &= np.minimum(phase, 1 - phase) > 0.1
        return fits
