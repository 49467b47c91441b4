"""CVRL's pairs of clips: the longer the gap between them, the rarer (methods/cvrl, Inputs and sampling)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline

Law = Literal["decreasing", "uniform", "increasing"]


def gap_cdf(starts: int, power: float = 1.0, law: Law = "decreasing") -> np.ndarray:
    """F(k) for k = 0..M, M the number of legal starts: `(starts + 1,)` float64 from 0 to 1.

    Decreasing: `F(k) = (p + 1) k / (p M) - k^(p + 1) / (p M^(p + 1))`. Increasing is its mirror image, for ablations.

    Args:
        starts: M, at least 1.
        power: p; 1 is the released value, large values tend to uniform gaps, small ones favour short gaps.
        law: of the gaps.
    """
    if starts < 1 or not power > 0:
        raise ValueError(f"a gap law needs at least one start and a positive power, got {starts} and {power}")
    k = np.arange(starts + 1, dtype=np.float64)
    if law == "uniform":
        return k / starts
    if power == 1:
        # a quotient of integers, so that ties (F(5) = 0.75 for M = 10) fall where exact arithmetic puts them
        cdf = k * (2 * starts - k) / float(starts) ** 2
    else:
        share = k / starts
        cdf = share / power * (power + 1 - share**power)
    cdf[-1] = 1.0
    return 1.0 - cdf[::-1] if law == "increasing" else cdf


def gap_of(u: float, cdf: np.ndarray) -> int:
    """The largest integer gap k with F(k) <= u, for u in [0, 1): P(gap = k) = F(k + 1) - F(k)."""
    return min(int(np.searchsorted(cdf, u, side="right")) - 1, len(cdf) - 2)


class IntervalPair(Sampler):
    """Two clips of a cine whose gap follows a law; a fair coin decides which is the first view.

    Attributes:
        power: p of the law.
        law: decreasing as published, or one of the ablations.
        in_seconds: the gap is measured in seconds rather than in legal starts; they differ where the frame rate varies
            or the recording paused.
    """

    name: Literal["intervals"] = "intervals"
    power: Annotated[float, Field(gt=0)] = 1.0
    law: Law = "decreasing"
    in_seconds: bool = False

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, Clip]:
        """Two clips; in a cine too short for one, both starts are independent and the clips are looped."""
        windows = self.windows(timeline)
        if not len(windows):
            first, second = (self.looped(timeline, int(start)) for start in rng.integers(len(timeline), size=2))
            return first, second
        pair = self._by_seconds(timeline, windows, rng) if self.in_seconds else self._by_starts(windows, rng)
        early, late = (timeline.clip(windows[start]) for start in pair)
        return (early, late) if rng.random() < 0.5 else (late, early)

    def _by_starts(self, windows: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        gap = gap_of(rng.random(), gap_cdf(len(windows), self.power, self.law))
        start = int(rng.integers(len(windows) - gap))
        return start, start + gap

    def _by_seconds(self, timeline: Timeline, windows: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        starts_s = timeline.times_s[windows[:, 0]]
        cells = max(1, round((starts_s[-1] - starts_s[0]) / timeline.interval_s) + 1)
        gap_s = gap_of(rng.random(), gap_cdf(cells, self.power, self.law)) * timeline.interval_s
        leaves_room = np.count_nonzero(starts_s + gap_s <= starts_s[-1] + timeline.interval_s / 2)
        early = int(rng.integers(max(1, int(leaves_room))))
        late = int(np.abs(starts_s - starts_s[early] - gap_s).argmin())
        return early, max(early, late)
