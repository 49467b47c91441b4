"""What a pretraining method is: the clips it asks for, the views it makes of them, and its loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from usssl.arguments import ClipArguments, NamedArguments, VideoKind
from usssl.augment import ClipBatch, View, ViewAugmentation
from usssl.data.sampling import Sampler
from usssl.models.encoders import Encoder

_UNSET = torch.empty(0)


class MethodArguments(NamedArguments):
    """The `method:` block of a recipe; each method adds its own keys."""

    def check(self, clip: ClipArguments) -> None:
        """Refuses clips that the method cannot be made of, when a recipe is read.

        Raises:
            ValueError: a sentence that begins with the key of the recipe.
        """

    def following(self, kind: VideoKind) -> Self:
        """The same arguments with what is `auto` set as the kind of video wants it, when a recipe is read."""
        return self


@dataclass(frozen=True)
class Clips:
    """A batch of samples: the clips that the method's sampler drew from one cine each, as the store holds them.

    Facts are on the CPU; `frames`, `sector` and `cines` are where `to` brought them. Every fact but the first three has
    a default that means "not known".

    Attributes:
        frames: uint8 `(batch, clips, time, channels, height, width)`, at the store's size; 1 channel (grey) or 3 (RGB).
        sector: bool `(batch, height, width)`; where the frames show ultrasound.
        samples: int64 `(batch,)`; the number of each sample in the run, which seeds its clips and its augmentation.
        cines: int64 `(batch,)`; the store's row of each cine, by which clips of the same cine are told from others; by
            default all differ.
        times_s: float64 `(batch, clips, time)`; when each frame was taken, seconds from the start of the cine.
        looped: bool `(batch, clips)`; the cine was too short and began anew within the clip, so that its times mean
            nothing.
        window: float64 `(batch, 4)`; where these frames lie in the original frame, `(x0, y0, x1, y1)` in shares of its
            width and height.
        spacing_mm: float64 `(batch, 2)`; height and width of a pixel of these frames.
    """

    frames: Tensor
    sector: Tensor
    samples: Tensor
    cines: Tensor = field(default=_UNSET)
    times_s: Tensor = field(default=_UNSET)
    looped: Tensor = field(default=_UNSET)
    window: Tensor = field(default=_UNSET)
    spacing_mm: Tensor = field(default=_UNSET)

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        if len(shape) != 6 or shape[3] not in (1, 3):
            raise ValueError(f"clips must be (batch, clips, time, 1 or 3 channels, height, width), got {shape}")
        batch, clips, time = shape[:3]
        whole = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
        for name, default in (
            ("cines", torch.arange(batch, device=self.frames.device)),
            ("times_s", torch.full((batch, clips, time), torch.nan, dtype=torch.float64)),
            ("looped", torch.zeros(batch, clips, dtype=torch.bool)),
            ("window", whole.expand(batch, 4)),
            ("spacing_mm", torch.full((batch, 2), torch.nan, dtype=torch.float64)),
        ):
            value = getattr(self, name)
            if value is _UNSET:
                object.__setattr__(self, name, default)
            elif value.shape != default.shape:
                raise ValueError(f"{name} must have the shape {tuple(default.shape)}, got {tuple(value.shape)}")

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device) -> Clips:
        """The same clips with their pixels on a device."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in ("frames", "sector", "cines")}
        return replace(self, **moved)

    def batch(self, number: int) -> ClipBatch:
        """Clip `number` of every sample, with its facts."""
        return ClipBatch(
            self.frames[:, number],
            window=self.window,
            spacing_mm=self.spacing_mm,
            sector=_boxes(self.sector),
            times_s=self.times_s[:, number],
            looped=self.looped[:, number],
        )


class Watched(NamedTuple):
    """What a method showed of a training step, without gradient.

    Attributes:
        features: pooled, `(batch, dim)`.
        cines: `(batch,)`; which cine each is of.
        embedding: what the loss compares, `(batch, dim)`; None where the method shows none.
    """

    features: Tensor
    cines: Tensor
    embedding: Tensor | None = None


class Method(nn.Module):
    """Base of the methods. A method knows no file, no device and no optimiser.

    Attributes:
        encoder: what is kept after pretraining.
        augment: what the recipe's `augment:` block gives in place of the method's own augmentations; None otherwise.
        watched: what `watch` was shown in the last training step, or in as many as its `maxlen`, so that the run can
            tell when it collapses; empty where a method shows nothing.
    """

    Arguments: ClassVar[type[MethodArguments]]
    preset: ClassVar[str | None] = None
    """Whose augmentation (`usssl.augment.presets`) the method uses, so that a recipe's `augment:` block may change it;
    None where it makes its views by itself."""
    frames_alone: ClassVar[bool] = False
    """Whether the encoder has to see each frame by itself; recipes with another are refused."""

    def __init__(self, encoder: Encoder, clip: ClipArguments) -> None:
        super().__init__()
        self.encoder = encoder
        self.clip = clip
        self.augment: tuple[ViewAugmentation, ...] | None = None
        self.watched: deque[Watched] = deque(maxlen=1)

    def sampler(self) -> Sampler:
        """Draws the clips of a sample from one cine."""
        raise NotImplementedError

    def augmentations(self) -> tuple[ViewAugmentation, ...]:
        """The method's own augmentations, one for each of `sources`; none where it makes its views by itself."""
        return ()

    def chosen_augmentations(self) -> tuple[ViewAugmentation, ...]:
        """Those of the recipe where it gives some, else the method's own."""
        return self.augmentations() if self.augment is None else self.augment

    def sources(self, clips: Clips) -> list[ClipBatch]:
        """What each view is made of: the clips one by one."""
        return [clips.batch(number) for number in range(clips.frames.shape[1])]

    def augmented(self, clips: Clips, seed: int) -> Sequence[View]:
        """The views with their records of what was drawn, on whichever device the clips are."""
        raise NotImplementedError

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """Makes the views and their labels from clips, as `forward` takes them."""
        raise NotImplementedError

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss, as `loss`, beside its named parts and measures, each a scalar."""
        raise NotImplementedError

    def watch(self, features: Tensor, cines: Tensor, embedding: Tensor | None = None) -> None:
        """Shows the run one view of each sample, so that it can tell when all look alike; call it in `forward`.

        Args:
            features: of the encoder, pooled, `(batch, dim)`.
            cines: `(batch,)`; which cine each is of.
            embedding: what the loss compares, `(batch, dim)`: a head may collapse where the encoder does not.
        """
        if self.training:
            self.watched.append(Watched(features.detach(), cines, None if embedding is None else embedding.detach()))

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of the training that is done; does nothing by default.

        Momentum copies and queues move on here.
        """


def _boxes(sector: Tensor) -> Tensor:
    """The box `(x0, y0, x1, y1)` in pixels of each mask `(batch, height, width)`; the whole frame where it is empty."""
    edges = []
    for profile in (sector.any(dim=1), sector.any(dim=2)):
        found = profile | ~profile.any(dim=1, keepdim=True)
        low, high = found.int().argmax(dim=1), found.shape[1] - found.flip(1).int().argmax(dim=1)
        edges.append((low, high))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=1).double().cpu()
