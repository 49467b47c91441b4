"""order_transform's clips: k frames a step apart, frozen ones rejected, the rest balanced over how much they move.

Sources: methods/order_transform, Inputs and Pitfalls ("reject clips whose mean absolute frame difference is below a
threshold, and balance the kept distribution"). The threshold and the bins are ours: the paper's were not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.motion import clip_motion
from usssl.data.sampling.sampler import Draws, Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class OrderClips(Sampler):
    """Clips of k frames for putting back in order.

    Attributes:
        frames: k, frames in a clip.
        stride: frames of the cine from one to the next; 8 at 30 Hz by default.
        more_strides: further strides; a clip may be drawn at any of them.
        min_motion: clips with a successive pair that differs by less than this mean grey level (0..255) are rejected.
        bins: the clips of a cine are grouped into this many equally wide bins of log motion and each bin is drawn
            equally often, so that the much commoner slow clips do not drown the others; 1 draws all kept clips alike.
    """

    name: Literal["order"] = "order"
    frames: Annotated[int, Field(ge=2, le=8)] = 4
    stride: Annotated[int, Field(ge=1)] = 8
    more_strides: tuple[Annotated[int, Field(ge=1)], ...] = ()
    min_motion: Annotated[float, Field(ge=0)] = 1.0
    bins: Annotated[int, Field(ge=1)] = 4

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip]:
        """Any clip of the cine, as long as nothing is known of its motion; see `prepare`."""
        return (self.anywhere(timeline, rng),)

    def windows(self, timeline: Timeline) -> np.ndarray:
        """All clips of every stride that lie in the cine whole, `(clips, frames)` indices."""
        others = [timeline.windows(self.frames, stride=stride) for stride in self.more_strides]
        return np.concatenate([super().windows(timeline), *others])

    def prepare(self, timeline: Timeline, frames: np.ndarray) -> Draws | None:
        """Rejects and balances the clips of a cine; None where none moves enough, or it is too short to hold one."""
        windows = self.windows(timeline) if super().prepare(timeline, frames) else np.empty((0, self.frames), np.int64)
        if not len(windows):
            return None
        weights = self.weights(clip_motion(frames, windows))
        kept = np.flatnonzero(weights)
        return WeightedClips(timeline, windows[kept], np.cumsum(weights[kept])) if len(kept) else None

    def weights(self, motion: np.ndarray) -> np.ndarray:
        """The chance of each clip by its motion, `(clips,)`; sums to 1, or to 0 where none moves enough."""
        weights = np.zeros(len(motion))
        moving = motion >= self.min_motion
        if moving.any():
            weights[moving] = balanced_weights(motion[moving], self.bins)
        return weights


@dataclass(frozen=True)
class WeightedClips:
    """Draws one clip of a cine.

    Attributes:
        timeline: of the cine.
        windows: `(clips, k)` frame indices.
        cumulative: `(clips,)` the chances of the clips, added up.
    """

    timeline: Timeline
    windows: np.ndarray
    cumulative: np.ndarray

    def __call__(self, rng: np.random.Generator) -> tuple[Clip]:
        """One clip, by its chance."""
        place = np.searchsorted(self.cumulative, rng.random() * self.cumulative[-1], side="right")
        return (self.timeline.clip(self.windows[min(int(place), len(self.windows) - 1)]),)


def balanced_weights(motion: np.ndarray, bins: int) -> np.ndarray:
    """Weights that sum to 1 and give every non-empty bin of log motion the same total."""
    log = np.log(np.maximum(motion, 1e-6))
    width = np.ptp(log) or 1.0
    group = np.minimum((bins * (log - log.min()) / width).astype(np.int64), bins - 1)
    counts = np.bincount(group, minlength=bins)
    return 1.0 / (counts[group] * np.count_nonzero(counts))
