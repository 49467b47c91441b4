"""CEP's snippets: past, present and future in a row, and an appearance key drawn from the same run (methods/cep)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class Snippets(Sampler):
    """A run of three snippets of `frames` each without overlap, and as many frames of the whole run as key.

    Attributes:
        gap: frames of the run that are left out between snippets, against identity predictors on slow motion.
    """

    name: Literal["snippets"] = "snippets"
    step_s: Annotated[float, Field(gt=0)] | None = 1 / 24
    gap: Annotated[int, Field(ge=0)] = 0

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, Clip, Clip, Clip]:
        """Past, present, future and key; a cine shorter than the run wraps around and all four are flagged."""
        length = 3 * self.frames + 2 * self.gap
        run = self.model_copy(update={"frames": length}).anywhere(timeline, rng)
        starts = [part * (self.frames + self.gap) for part in range(3)]
        past, present, future = (np.arange(start, start + self.frames) for start in starts)
        key = np.sort(rng.choice(length, size=self.frames, replace=False))
        parts = (self._part(timeline, run, places) for places in (past, present, future, key))
        return tuple(parts)  # type: ignore[return-value]

    @staticmethod
    def _part(timeline: Timeline, run: Clip, places: np.ndarray) -> Clip:
        frames = run.frames[places]
        if run.looped:
            return Clip(frames, float(timeline.times_s[frames[0]]), np.nan, looped=True)
        return timeline.clip(frames)
