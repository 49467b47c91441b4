"""Which clips a method sees at which step: a pure function of the seed and the step, so that any run can resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from usssl.arguments import ClipArguments
from usssl.cine.sector_mask import image_mask
from usssl.data import Store
from usssl.errors import UsageError
from usssl.methods import Clips
from usssl.methods.base import ClipSampler

B = TypeVar("B")


class ClipBatches(Dataset[Clips]):
    """Batch `step` of a run: clips of cines drawn without favour, at starts that the method's sampler weighs.

    Args:
        store: the prepared frames.
        cines: the rows of the store to draw from.
        sampler: the method's law for where clips start.
        clip: frames and step of a clip.
        batch_size: clips in a batch.
        seed: of the run.
    """

    def __init__(
        self,
        store: Store,
        cines: Sequence[int],
        sampler: ClipSampler,
        clip: ClipArguments,
        batch_size: int,
        seed: int,
    ) -> None:
        self.store, self.clip, self.batch_size, self.seed = store, clip, batch_size, seed
        lengths = {cine: int(store.frame_counts[cine]) for cine in cines}
        weights = {
            cine: sampler.start_weights(frame_motion(store, cine, clip.step), lengths[cine])
            for cine in cines
            if lengths[cine] > (clip.frames - 1) * clip.step
        }
        self.starts = {cine: weight / weight.sum() for cine, weight in weights.items() if weight.sum() > 0}
        if not self.starts:
            span = (clip.frames - 1) * clip.step + 1
            raise UsageError(
                f"none of the {len(cines)} cines offers a moving clip of {span} frames; lower data.clip.step"
            )
        self.cines = sorted(self.starts)
        self.skipped = len(cines) - len(self.cines)
        self.sectors = {cine: sector_mask(store, cine) for cine in self.cines}

    def __getitem__(self, step: int) -> Clips:
        rng = np.random.default_rng((self.seed, step))
        cines = self._draw_cines(rng)
        frames = np.stack([self.store.read(cine, self._indices(cine, rng)) for cine in cines])
        return Clips(
            frames=torch.from_numpy(frames),
            sector=torch.from_numpy(np.stack([self.sectors[cine] for cine in cines])),
            samples=step * self.batch_size + torch.arange(self.batch_size),
        )

    def cines_of(self, step: int) -> list[int]:
        """The rows of the store that batch `step` shows."""
        return self._draw_cines(np.random.default_rng((self.seed, step)))

    def _draw_cines(self, rng: np.random.Generator) -> list[int]:
        rounds = -(-self.batch_size // len(self.cines))
        order = np.concatenate([rng.permutation(len(self.cines)) for _ in range(rounds)])
        return [self.cines[i] for i in order[: self.batch_size]]

    def _indices(self, cine: int, rng: np.random.Generator) -> np.ndarray:
        start = rng.choice(len(self.starts[cine]), p=self.starts[cine])
        return start + self.clip.step * np.arange(self.clip.frames)

    def loader(self, start: int, stop: int, workers: int) -> DataLoader[Clips]:
        """Batches `start` to `stop`, read ahead by `workers` processes (0: none)."""
        return read_ahead(self, start, stop, workers)


def read_ahead(batches: Dataset[B], start: int, stop: int, workers: int) -> DataLoader[B]:
    """Batches `start` to `stop` in order, read ahead by `workers` processes (0: none).

    The loader draws its workers' seeds from a generator of its own: a resumed run's random state stays the run's.
    """
    own = torch.Generator()
    return DataLoader(batches, batch_size=None, sampler=range(start, stop), num_workers=workers, generator=own)


def frame_motion(store: Store, cine: int, step: int) -> np.ndarray:
    """Mean absolute difference (grey levels) between each frame and the one `step` later, on every fourth pixel."""
    small = store.frames(cine)[:, ::4, ::4].astype(np.int16)
    return np.abs(small[step:] - small[:-step]).mean(axis=(1, 2))


def sector_mask(store: Store, cine: int, frames: int = 24) -> np.ndarray:
    """Where the stored frames show ultrasound and no scanner's screen, bool `(height, width)`; all of it if unsure."""
    chosen = np.unique(np.linspace(0, store.frame_counts[cine] - 1, frames).astype(int))
    found = image_mask(store.read(cine, chosen))
    return np.ones(store.size, dtype=bool) if found is None else found
