"""order_transform's clips: k frames a step apart, frozen ones rejected, the rest balanced over how much they move.

Sources: methods/order_transform, Inputs and Pitfalls ("reject clips whose mean absolute frame difference is below a
threshold, and balance the kept distribution"). The threshold and the bins are ours: the paper's were not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from usssl.data.sampling.timeline import Clip, Timeline


@dataclass(frozen=True)
class OrderIndex:
    """Every clip of a data set that may be drawn, with its chance.

    Attributes:
        timelines: of the cines.
        windows: `(clips, k)` frame indices.
        cine: `(clips,)` index into `timelines`.
        motion: `(clips,)` as `clip_motion` measured it, grey levels.
        weight: `(clips,)` chance of each clip, sums to 1.
        rejected: `(cines,)` clips of each cine that moved too little.
    """

    timelines: Sequence[Timeline]
    windows: np.ndarray
    cine: np.ndarray
    motion: np.ndarray
    weight: np.ndarray
    rejected: np.ndarray

    def __len__(self) -> int:
        return len(self.cine)

    def draw(self, rng: np.random.Generator) -> tuple[int, Clip]:
        """A cine (index into `timelines`) and a clip of it."""
        chosen = min(int(np.searchsorted(np.cumsum(self.weight), rng.random(), side="right")), len(self) - 1)
        return self._clip(chosen)

    def draw_from(self, cine: int, rng: np.random.Generator) -> Clip | None:
        """A clip of this cine, or None if none of its clips moves enough."""
        own = np.flatnonzero(self.cine == cine)
        if not len(own):
            return None
        weights = np.cumsum(self.weight[own])
        chosen = min(int(np.searchsorted(weights, rng.random() * weights[-1], side="right")), len(own) - 1)
        return self._clip(int(own[chosen]))[1]

    def _clip(self, index: int) -> tuple[int, Clip]:
        cine = int(self.cine[index])
        return cine, self.timelines[cine].clip(self.windows[index])


class OrderClips(BaseModel):
    """Clips of k frames for putting back in order.

    Attributes:
        frames: k, frames in a clip.
        step_s: time from one to the next, seconds; 8 frames at 30 Hz by default.
        min_motion: clips with a successive pair that differs by less than this mean grey level (0..255) are rejected.
        bins: clips are grouped into this many equally wide bins of log motion and each bin is drawn equally often, so
            that the much commoner slow clips do not drown the others; 1 draws all kept clips alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frames: int = Field(4, ge=2, le=8)
    step_s: float = Field(8 / 30, gt=0)
    min_motion: float = Field(1.0, ge=0)
    bins: int = Field(8, ge=1)

    def windows(self, timeline: Timeline) -> np.ndarray:
        """All clips of a cine, `(clips, frames)` indices, for `clip_motion` to measure; short cines have none."""
        return timeline.windows(self.frames, step_s=self.step_s)

    def index(self, timelines: Sequence[Timeline], motion: Sequence[np.ndarray]) -> OrderIndex:
        """Rejects and balances over a whole data set.

        Args:
            timelines: of the cines.
            motion: for each cine, `(clips,)` of its `windows`.

        Raises:
            ValueError: if no clip of any cine moves enough.
        """
        windows = [self.windows(timeline) for timeline in timelines]
        kept = [np.flatnonzero(m >= self.min_motion) for m in motion]
        rejected = np.array([len(m) - len(k) for m, k in zip(motion, kept, strict=True)])
        moves = np.concatenate([m[k] for m, k in zip(motion, kept, strict=True)])
        if not len(moves):
            raise ValueError(
                f"no clip of {self.frames} frames {self.step_s:.3g} s apart moves by min_motion = {self.min_motion} "
                "grey levels; lower min_motion, shorten step_s or give longer cines"
            )
        return OrderIndex(
            timelines=timelines,
            windows=np.concatenate([w[k] for w, k in zip(windows, kept, strict=True)]),
            cine=np.repeat(np.arange(len(timelines)), [len(k) for k in kept]),
            motion=moves,
            weight=balanced_weights(moves, self.bins),
            rejected=rejected,
        )


def balanced_weights(motion: np.ndarray, bins: int) -> np.ndarray:
    """Weights that sum to 1 and give every non-empty bin of log motion the same total."""
    log = np.log(np.maximum(motion, 1e-6))
    width = np.ptp(log) or 1.0
    group = np.minimum((bins * (log - log.min()) / width).astype(np.int64), bins - 1)
    counts = np.bincount(group, minlength=bins)
    return 1.0 / (counts[group] * np.count_nonzero(counts))
