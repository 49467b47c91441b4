"""The queue of past keys: a ring of K rows that serve as negatives, with the cine of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from usssl.methods.parts.gather import gather


class KeyQueue(nn.Module):
    """The last K keys of all ranks; part of the state dict, so that a resumed run goes on with the same negatives.

    Until they are overwritten the rows are random: uniform in ±sqrt(3 / dim), of squared length 1 on average, as VTDL's
    released code starts (methods/vtdl, section 5).

    Args:
        size: K.
        dim: of a key.
    """

    keys: Tensor
    cines: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a queue holds at least one key, not {size}")
        self.register_buffer("keys", (2 * torch.rand(size, dim) - 1) * (3 / dim) ** 0.5)
        self.register_buffer("cines", torch.full((size,), -1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return len(self.keys)

    def allowed(self, cines: Tensor) -> Tensor:
        """Which rows may be negatives of which clip: bool `(batch, K)`, false where both are of the same cine.

        A row of the same cine shows the same anatomy; with few cines most of the queue's false negatives are such.

        Args:
            cines: `(batch,)` which cine each clip was taken from, from 0.
        """
        return self.cines[None, :] != cines[:, None]

    @torch.no_grad()
    def enqueue(self, keys: Tensor, cines: Tensor) -> None:
        """Overwrites the oldest rows with the keys of all ranks, in the order of ranks; call it after the step.

        Args:
            keys: `(batch, dim)`, the same number on every rank.
            cines: `(batch,)`.
        """
        keys, cines = gather(keys.detach()), gather(cines)
        count = len(keys)
        places = (self.pointer + torch.arange(count, device=self.keys.device)) % len(self)
        kept = slice(max(0, count - len(self)), None)  # of a batch larger than the queue, the newest
        self.keys[places[kept]] = keys[kept].to(self.keys.dtype)
        self.cines[places[kept]] = cines[kept].to(self.cines)
        self.pointer.copy_((self.pointer + count) % len(self))
