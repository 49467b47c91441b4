"""AV-BERT's segments of a long cine, and the audio that belongs to a clip (methods/avbert)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from usssl.data.sampling.sampler import Sampler
from usssl.data.sampling.timeline import Clip, Timeline


class Segments(Sampler):
    """Several clips of a cine in the order of time.

    Attributes:
        segments: how many; 30 of 1 s each in pretraining, 10 spread evenly downstream.
        spread: consecutive from a random start, or spread evenly over the whole cine.
    """

    name: Literal["av_segments"] = "av_segments"
    stride: Annotated[int, Field(ge=1)] = 1
    step_s: Annotated[float, Field(gt=0)] | None = 1 / 16
    segments: Annotated[int, Field(ge=1, le=256)] = 30
    spread: Literal["consecutive", "even"] = "consecutive"

    def draw(self, timeline: Timeline, rng: np.random.Generator) -> tuple[Clip, ...]:
        """The segments; where the cine does not hold them all in a row, they are spread evenly and may overlap."""
        windows = self.windows(timeline)
        if not len(windows):
            return tuple(self.looped(timeline, 0) for _ in range(self.segments))
        if self.spread == "consecutive":
            run = self.model_copy(update={"frames": self.frames * self.segments, "segments": 1}).windows(timeline)
            if len(run):
                frames = run[rng.integers(len(run))].reshape(self.segments, self.frames)
                return tuple(timeline.clip(row) for row in frames)
        starts = np.linspace(0, len(windows) - 1, self.segments).round().astype(int)
        return tuple(timeline.clip(windows[start]) for start in starts)


@dataclass(frozen=True)
class AudioSpan:
    """Samples of a recording that belong to a clip.

    Attributes:
        start: first sample; may lie before the recording's first.
        samples: how many; may reach past the recording's end.
    """

    start: int
    samples: int

    def read(self, waveform: np.ndarray) -> np.ndarray:
        """Cuts `(channels, recording)` to `(channels, samples)`; what lies outside is silent."""
        channels, length = waveform.shape
        out = np.zeros((channels, self.samples), dtype=waveform.dtype)
        first, last = max(0, self.start), min(length, self.start + self.samples)
        if first < last:
            out[:, first - self.start : last - self.start] = waveform[:, first:last]
        return out


def synchronous_audio(clip: Clip, rate: float, seconds: float | None = None, offset_s: float = 0.0) -> AudioSpan | None:
    """The audio of the same time as a clip.

    Args:
        clip: of a cine whose times count from the recording's first sample.
        rate: samples a second.
        seconds: length of the span, about the clip's middle; by default the time that the clip takes, its last frame
            included.
        offset_s: by how much the span is moved, for methods that allow a small shift.

    Returns:
        The span; None for a looped clip, which no audio belongs to.
    """
    if clip.looped:
        return None
    step = 0.0 if np.isnan(clip.step_s) else clip.step_s
    own = step * len(clip.frames)
    length = own if seconds is None else seconds
    start = clip.start_s + (own - length) / 2 + offset_s
    return AudioSpan(round(start * rate), max(1, round(length * rate)))
