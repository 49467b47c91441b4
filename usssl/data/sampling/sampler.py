"""What all samplers share: typed arguments, and one draw from one cine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from usssl.data.sampling.timeline import Clip, Timeline

Draws = Callable[[np.random.Generator], tuple[Clip, ...]]
"""Draws the clips of one sample from the cine that it was prepared for."""


class Sampler(BaseModel, ABC):
    """Chooses the clips of one sample from one cine; its fields are its arguments as a recipe gives them.

    Attributes:
        frames: in a clip.
        stride: frames of the cine from one to the next.
        step_s: seconds from one to the next, in place of `stride`: the same whatever the frame rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frames: Annotated[int, Field(ge=1, le=4096)] = 16
    stride: Annotated[int, Field(ge=1)] = 2
    step_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_measure(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("stride") is not None:
            if given.get("step_s") is not None:
                raise ValueError("stride and step_s: give the one or the other")
            return {**given, "step_s": None}
        return given

    @abstractmethod
    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, ...]:
        """Chooses clips; those of cines too short to hold one are looped, and flagged so.

        Args:
            timeline: of the cine.
            rng: of the sample (`sample_rng`).
        """

    def prepare(self, timeline: Timeline, frames: np.ndarray) -> Draws | None:
        """Makes ready to draw from one cine again and again.

        Args:
            timeline: of the cine.
            frames: all its frames, uint8 `(frames, height, width[, 3])`, for samplers that look at motion; others
                leave a memory map unread.

        Returns:
            What draws (it pickles); None where the cine offers no clip.
        """
        return None if self.needs_times and not timeline.known else partial(self.draw, timeline)

    @property
    def needs_times(self) -> bool:
        """Whether a law in seconds was asked for, which says nothing of a cine whose times are not known."""
        in_seconds = [name for name in type(self).model_fields if name.endswith("_s")]
        return getattr(self, "in_seconds", False) or any(getattr(self, name) is not None for name in in_seconds)

    def windows(self, timeline: Timeline) -> np.ndarray:
        """All clips that lie in the cine whole, `(clips, frames)` indices."""
        if self.step_s is None:
            return timeline.windows(self.frames, stride=self.stride)
        return timeline.windows(self.frames, step_s=self.step_s)

    def looped(self, timeline: Timeline, start: int) -> Clip:
        """The clip from `start` of a cine too short to hold one whole."""
        if self.step_s is None:
            return timeline.looped_clip(start, self.frames, stride=self.stride)
        return timeline.looped_clip(start, self.frames, step_s=self.step_s)

    def anywhere(self, timeline: Timeline, rng: np.random.Generator) -> Clip:
        """One clip whose start is uniform over all legal ones."""
        windows = self.windows(timeline)
        if len(windows):
            return timeline.clip(windows[rng.integers(len(windows))])
        return self.looped(timeline, int(rng.integers(len(timeline))))
