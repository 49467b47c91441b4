"""What a pretraining method is: the clips it asks for, the views it makes of them, and its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from usssl.arguments import ClipArguments, NamedArguments
from usssl.models.encoders import Encoder


class MethodArguments(NamedArguments):
    """The `method:` block of a recipe; each method adds its own keys."""


@dataclass(frozen=True)
class Clips:
    """A batch of clips as the store holds them.

    Attributes:
        frames: uint8 `(batch, time, height, width)`, at the store's size.
        sector: bool `(batch, height, width)`; where the frames show ultrasound.
        samples: int64 `(batch,)`; the number of each sample in the run, which seeds its augmentation.
    """

    frames: Tensor
    sector: Tensor
    samples: Tensor

    def to(self, device: torch.device) -> Clips:
        """The same clips on a device."""
        return Clips(*(part.to(device, non_blocking=True) for part in (self.frames, self.sector, self.samples)))


class ClipSampler(Protocol):
    """Says where clips may start in a cine."""

    def start_weights(self, motion: np.ndarray, frames: int) -> np.ndarray:
        """Relative probability of each start.

        Args:
            motion: mean absolute difference, in grey levels, between each frame and the frame one step later.
            frames: number of frames of the cine.

        Returns:
            One weight for each legal start; all zero, or none, where the cine offers no clip.
        """
        ...


class Method(nn.Module):
    """Base of the methods. A method knows no file, no device and no optimiser.

    Attributes:
        encoder: what is kept after pretraining.
        watched: pooled features `(batch, dim)` of the last step, and the cine `(batch,)` of each, so that the run can
            tell when they collapse; None where a method shows none.
    """

    Arguments: ClassVar[type[MethodArguments]]

    def __init__(self, encoder: Encoder, clip: ClipArguments) -> None:
        super().__init__()
        self.encoder = encoder
        self.clip = clip
        self.watched: tuple[Tensor, Tensor] | None = None

    def clip_sampler(self) -> ClipSampler:
        """Where this method's clips start."""
        raise NotImplementedError

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """Makes the views and their labels from clips, on whichever device the clips are."""
        raise NotImplementedError

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss, as `loss`, beside its named parts and measures, each a scalar."""
        raise NotImplementedError

    def watch(self, features: Tensor, cines: Tensor) -> None:
        """Shows the run the pooled features of one view of each clip; call it in `forward`."""
        self.watched = (features.detach(), cines)

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of the training that is done; does nothing by default.

        Momentum copies and queues move on here.
        """
