"""What a back end gives to a `Cine`: facts once, frames on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from usssl.cine.facts import Audio, CineFacts, Region


class FrameSource(ABC):
    """One opened file of one kind. A back end opens in its constructor and raises `CineError` if it cannot.

    Attributes:
        facts: what the file says of itself, frames counted.
        times: seconds of each frame from the first, float64 `(frames,)`; NaN where the file does not say.
        regions: calibrated regions.
        poses: for tracked sequences float64 `(frames, 4, 4)` transforms in mm by name, or None.
        channels: 1 or 3, of the frames that `frames_at` gives.
    """

    facts: CineFacts
    times: np.ndarray
    regions: tuple[Region, ...] = ()
    poses: dict[str, np.ndarray] | None = None
    channels: int

    @abstractmethod
    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames at `indices` (ascending, no repeats), each uint8 `(H, W)` or `(H, W, 3)`.

        Raises:
            CineError: if a frame is damaged; never yields another frame in its place.
        """

    def hand_out(self, indices: Sequence[int], take: Callable[[int, np.ndarray], None]) -> None:
        """Calls `take(n, frame)` for the n-th of `indices`, as soon as that is decoded and from the thread that did it.

        A frame that is copied at once is still in the processor's cache, and the next one takes its memory: system
        calls for new memory for each cost as much as a fifth of decoding it.

        Args:
            indices: ascending, no repeats.
            take: copies the frame; may be called in any order and from several threads.

        Raises:
            CineError: as `frames_at`.
        """
        for n, frame in enumerate(self.frames_at(indices)):
            take(n, frame)

    def audio(self) -> Audio | None:
        """The sound, decoded whole, or None where there is no track."""
        return None

    def patient(self) -> str | None:
        """The patient's pseudonym, or None where the file names no patient.

        Raises:
            UsageError: if the pseudonym key cannot be read.
            OutputError: if it has to be made and cannot be written.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Releases the file; twice does no harm."""


def even_times(frames: int, fps: float | None) -> np.ndarray:
    """Times of evenly spaced frames in seconds; NaN from the second on where the rate is not known."""
    times = np.arange(frames, dtype=np.float64)
    if fps:
        return times / fps
    times[1:] = np.nan
    return times
