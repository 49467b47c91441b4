"""Which clips a method sees at which step: a pure function of the seed and the sample, so that any run can resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from usssl.cine.sector_mask import image_mask
from usssl.data import Store
from usssl.data.sampling import Clip, Draws, Sampler, Timeline, sample_rng
from usssl.errors import UsageError
from usssl.methods import Clips

B = TypeVar("B")


class ClipBatches(Dataset[Clips]):
    """Batch `step` of a run: clips of cines drawn without favour, as the method's sampler draws them.

    Sample `n` of a run depends on `n` and the seed alone, not on the worker, the rank or the batch that it comes in.

    Args:
        store: the prepared frames.
        cines: the rows of the store to draw from.
        sampler: the method's law for clips.
        batch_size: samples in a batch.
        seed: of the run.
        sectors: find the ultrasound image in the frames; false takes all of the original frame for it, as of natural
            video.

    Raises:
        UsageError: no cine offers a clip.
    """

    def __init__(
        self,
        store: Store,
        cines: Sequence[int],
        sampler: Sampler,
        batch_size: int,
        seed: int,
        *,
        sectors: bool = True,
    ) -> None:
        self.store, self.batch_size, self.seed = store, batch_size, seed
        timelines = {cine: Timeline.of(store.times(cine)) for cine in cines}
        drawn = {cine: sampler.prepare(timeline, store.frames(cine)) for cine, timeline in timelines.items()}
        self._known = {
            cine: _Known.of(store, cine, timelines[cine], draws, sectors=sectors)
            for cine, draws in drawn.items()
            if draws is not None
        }
        if not self._known:
            whose = (
                "the only cine offers no clip" if len(cines) == 1 else f"none of the {len(cines)} cines offers a clip"
            )
            raise UsageError(
                f"{whose} of {sampler.frames} frames that moves and whose times are known; lower data.clip.step or "
                "data.clip.frames"
            )
        self.cines = sorted(self._known)
        self.skipped = len(cines) - len(self.cines)
        self._orders: dict[int, np.ndarray] = {}

    def __getitem__(self, step: int) -> Clips:
        return self.clips(range(step * self.batch_size, (step + 1) * self.batch_size))

    def clips(self, samples: Sequence[int]) -> Clips:
        """The clips of some samples, whichever batches they belong to."""
        cines = [self.cine_of(sample) for sample in samples]
        known = [self._known[cine] for cine in cines]
        drawn = [one.draws(sample_rng(self.seed, 0, n)) for one, n in zip(known, samples, strict=True)]
        return Clips(
            frames=torch.from_numpy(np.stack([self._read(*one) for one in zip(cines, drawn, strict=True)])),
            sector=torch.from_numpy(np.stack([one.sector for one in known])),
            samples=torch.tensor(samples, dtype=torch.int64),
            cines=torch.tensor(cines, dtype=torch.int64),
            times_s=torch.from_numpy(
                np.stack(
                    [[one.timeline.taken_s(clip) for clip in clips] for one, clips in zip(known, drawn, strict=True)]
                )
            ),
            looped=torch.tensor([[clip.looped for clip in clips] for clips in drawn]),
            window=torch.from_numpy(np.stack([one.window for one in known])),
            spacing_mm=torch.from_numpy(np.stack([one.spacing_mm for one in known])),
        )

    def cines_of(self, step: int) -> list[int]:
        """The rows of the store that batch `step` shows."""
        return [self.cine_of(sample) for sample in range(step * self.batch_size, (step + 1) * self.batch_size)]

    def cine_of(self, sample: int) -> int:
        """The row of the store that a sample is drawn from.

        All cines are passed through again and again, each time in another order. Those of the last third of a pass come
        late in the next one, so that no cine is met twice within as many samples as a third of the cines.
        """
        turn, place = divmod(sample, len(self.cines))
        if turn not in self._orders:
            self._orders = {turn: self._order(turn)}
        return self.cines[int(self._orders[turn][place])]

    def _order(self, turn: int) -> np.ndarray:
        order, before = (
            np.random.default_rng((self.seed, max(0, t))).permutation(len(self.cines)) for t in (turn, turn - 1)
        )
        third = len(order) // 3
        if turn == 0 or third == 0:
            return order
        body, last = order[:-third], order[-third:]
        just_met = np.isin(body, before[-third:])
        return np.concatenate([body[~just_met], body[just_met], last])

    def _read(self, cine: int, clips: Sequence[Clip]) -> np.ndarray:
        """Frames of some clips, uint8 `(clips, time, channels, height, width)`."""
        frames = self.store.read(cine, np.concatenate([clip.frames for clip in clips]))
        frames = frames[:, None] if frames.ndim == 3 else np.ascontiguousarray(np.moveaxis(frames, -1, 1))
        return frames.reshape(len(clips), -1, *frames.shape[1:])

    def loader(self, start: int, stop: int, workers: int) -> DataLoader[Clips]:
        """Batches `start` to `stop`, read ahead by `workers` processes (0: none)."""
        return read_ahead(self, start, stop, workers)


@dataclass(frozen=True)
class _Known:
    """What is known of a cine before its frames are read; shapes without the batch, as in `Clips`."""

    timeline: Timeline
    draws: Draws
    sector: np.ndarray
    window: np.ndarray
    spacing_mm: np.ndarray

    @classmethod
    def of(cls, store: Store, cine: int, timeline: Timeline, draws: Draws, *, sectors: bool) -> _Known:
        x0, y0, x1, y1 = store.window(cine)
        width, height = (store.table[name][cine].as_py() for name in ("width", "height"))
        window = np.array([x0 / width, y0 / height, x1 / width, y1 / height])
        stated = store.table["spacing_mm"][cine].as_py()
        pixel = np.array([np.nan, np.nan] if stated is None else stated, dtype=np.float64)
        shrunk = np.array([y1 - y0, x1 - x0]) / store.size
        sector = sector_mask(store, cine) if sectors else within_original(window, store.size)
        return cls(timeline, draws, sector, window, pixel * shrunk)


def loops(sampler: Sampler, timeline: Timeline) -> bool:
    """Whether the longest clips that a sampler draws begin anew in a cine, which is too short to hold them whole."""
    longest = sampler.model_copy(update={"stride": getattr(sampler, "max_stride", None) or sampler.stride})
    return any(clip.looped for clip in longest.draw(timeline, np.random.default_rng(0)))


def read_ahead(batches: Dataset[B], start: int, stop: int, workers: int) -> DataLoader[B]:
    """Batches `start` to `stop` in order, read ahead by `workers` processes (0: none).

    The loader draws its workers' seeds from a generator of its own: a resumed run's random state stays the run's.
    """
    own = torch.Generator()
    return DataLoader(batches, batch_size=None, sampler=range(start, stop), num_workers=workers, generator=own)


def within_original(window: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which pixels of a store's frames lie in the original frame, bool `(height, width)`; the others are black.

    Args:
        window: `(x0, y0, x1, y1)` of the frames in shares of the original.
        size: height and width of the frames.
    """
    inside = []
    for low, high, count in ((window[1], window[3], size[0]), (window[0], window[2], size[1])):
        centres = low + (np.arange(count) + 0.5) / count * (high - low)
        inside.append((centres >= 0) & (centres <= 1))
    return inside[0][:, None] & inside[1][None]


def sector_mask(store: Store, cine: int, frames: int = 24) -> np.ndarray:
    """Where the stored frames show ultrasound and no scanner's screen, bool `(height, width)`; all of it if unsure."""
    chosen = np.unique(np.linspace(0, store.frame_counts[cine] - 1, frames).astype(int))
    found = image_mask(store.read(cine, chosen))
    return np.ones(store.size, dtype=bool) if found is None else found
