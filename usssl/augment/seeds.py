"""Random numbers that depend on the sample alone, never on the worker, the rank or the batch around it.

A number is a hash of (run seed, epoch, sample, view, what it is for): one sample or a thousand at once, each gets the
same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Seeds:
    """One 64-bit key a row; every draw is named, and the same name gives the same numbers again.

    Attributes:
        keys: `(rows,)` uint64.
    """

    keys: np.ndarray

    @classmethod
    def for_samples(cls, seed: int, epoch: int, samples: Iterable[int] | Tensor, view: int = 0) -> Seeds:
        """The keys of some samples, in this epoch, for this view.

        Args:
            seed: of the run.
            epoch: counted from 0.
            samples: an integer that identifies each sample in the whole data set, whoever loads it.
            view: counted from 0; the views of a sample draw independently.
        """
        ids = np.asarray(samples if isinstance(samples, Tensor) else list(samples), dtype=np.int64).astype(np.uint64)
        keys = np.zeros_like(ids)
        for part in (np.full_like(ids, seed % 2**64), np.full_like(ids, epoch), ids, np.full_like(ids, view)):
            keys = _mixed(
                _mixed(keys) ^ _mixed(part)
            )  # mixed anew each time, so that seed and epoch cannot be exchanged
        return cls(keys)

    @classmethod
    def of(cls, random: Seeds | torch.Generator | None, rows: int) -> Seeds:
        """Takes seeds as they are, and draws them from a torch generator (None: torch's global one).

        Raises:
            ValueError: if there is not one key a row.
        """
        if isinstance(random, Seeds):
            if len(random) != rows:
                raise ValueError(f"{len(random)} seeds were given for {rows} clips; give one seed a clip")
            return random
        device = "cpu" if random is None else random.device
        drawn = torch.randint(-(2**63), 2**63 - 1, (rows,), generator=random, device=device)
        return cls(_mixed(drawn.cpu().numpy().astype(np.uint64)))

    def __len__(self) -> int:
        return len(self.keys)

    def child(self, name: str | int) -> Seeds:
        """Independent seeds for the same rows, for example one for each op of a view."""
        return Seeds(_mixed(self.keys ^ _named(str(name))))

    def per_frame(self, frames: int) -> Seeds:
        """`rows * frames` independent seeds, frame by frame within each row."""
        steps = _mixed(np.arange(1, frames + 1, dtype=np.uint64) * _GOLDEN)
        return Seeds(_mixed(self.keys[:, None] ^ steps[None, :]).reshape(-1))

    def rows(self, index: slice | np.ndarray) -> Seeds:
        """The seeds of some rows."""
        return Seeds(self.keys[index])

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0, count: int | None = None) -> Tensor:
        """Draws from `[low, high)`: float64 `(rows,)`, or `(rows, count)`."""
        columns = np.arange(1 if count is None else count, dtype=np.uint64)
        bits = _mixed(self.child(name).keys[:, None] + columns[None, :] * _GOLDEN)
        unit = (bits >> np.uint64(11)).astype(np.float64) / 2.0**53
        drawn = torch.from_numpy(low + (high - low) * unit)
        return drawn[:, 0] if count is None else drawn

    def chance(self, name: str, probability: float) -> Tensor:
        """Bool `(rows,)`, true with this probability."""
        return self.uniform(name) < probability

    def integers(self, name: str, low: int, high: int, count: int | None = None) -> Tensor:
        """Integers from `low` to `high - 1`: int64 `(rows,)`, or `(rows, count)`."""
        drawn = self.uniform(name, count=count)
        return (low + torch.floor(drawn * (high - low)).long()).clamp_(max=high - 1)

    def permutation(self, name: str, count: int) -> Tensor:
        """A random order of `0..count-1` a row: int64 `(rows, count)`."""
        return self.uniform(name, count=count).argsort(dim=1)

    def generators(self, name: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
        """A torch generator a row, for draws as large as an image."""
        keys = self.child(name).keys >> np.uint64(1)
        return [torch.Generator(device).manual_seed(int(key)) for key in keys]


def _mixed(z: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection of 64-bit words that hashes well."""
    with np.errstate(over="ignore"):
        z = z + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def _named(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
