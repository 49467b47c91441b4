"""What methods of augmented clips share: their switches, pooled features, and keys that wait for the end of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from usssl.arguments import ClipArguments, Fraction, VideoKind
from usssl.augment import ClipBatch, Seeds, View
from usssl.methods.base import Clips, Method, MethodArguments
from usssl.methods.parts import KeyQueue
from usssl.models.encoders import Encoder
from usssl.models.normalise import normalise

Share = Annotated[float, Field(gt=0, le=1)]


class ViewArguments(MethodArguments):
    """How views are made; what is left out is as the method's page has it.

    Attributes:
        ultrasound: ranges for ultrasound (no hue, saturation and mirroring) rather than for natural video; `auto`: as
            `data.kind` of a recipe says, for ultrasound where there is none.
        consistent: one draw a clip; false draws for each frame anew, an ablation.
        flip: chance of exchanging left and right.
        step_s: seconds from frame to frame, in place of `data.clip.step`: the same at any frame rate.
    """

    ultrasound: bool | Literal["auto"] = "auto"
    consistent: bool = True
    flip: Fraction | None = None
    step_s: Annotated[float, Field(gt=0)] | None = None

    def following(self, kind: VideoKind) -> Self:
        """`ultrasound` as `data.kind` says, where it is `auto`."""
        return self.model_copy(update={"ultrasound": kind == "ultrasound"}) if self.ultrasound == "auto" else self


class CropArguments(ViewArguments):
    """Of methods whose views are random crops.

    Attributes:
        area: smallest and largest share of the frame's area that a crop shows.
    """

    area: tuple[Share, Share] | None = None


class ViewMethod(Method):
    """Base of the methods that compare augmented clips.

    Args:
        encoder: what is trained.
        clip: frames and step of a clip.
        arguments: of the method.
    """

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: ViewArguments) -> None:
        super().__init__(encoder, clip)
        self._switches = arguments
        self._fresh: tuple[Tensor, Tensor] | None = None

    @property
    def clip_facts(self) -> dict[str, Any]:
        """Frames and step of a clip, as samplers take them."""
        step_s = self._switches.step_s
        step = {"stride": self.clip.step} if step_s is None else {"step_s": step_s}
        return {"frames": self.clip.frames, **step}

    @property
    def bn_groups(self) -> int:
        """Groups in which batch statistics are asked for; 1 where they are over the whole batch."""
        groups: int = getattr(self._switches, "bn_groups", 1)
        return groups

    @property
    def view_switches(self) -> dict[str, Any]:
        """The switches that the method's augmentation takes."""
        switches: dict[str, Any] = {"ultrasound": self._switches.ultrasound is not False, "flip": self._switches.flip}
        if isinstance(self._switches, CropArguments):
            switches["area"] = self._switches.area
        return switches

    def augmented(self, clips: Clips, seed: int) -> list[View]:
        """The views of all sources, each with its own draw; `normalised` brings their pixels to what encoders take."""
        plain: dict[str, Any] = {"mean": (0.0,), "std": (1.0,)}
        if not self._switches.consistent:
            plain["consistent"] = False
        return [
            augment.model_copy(update=plain)(source, Seeds.for_samples(seed, 0, clips.samples, number))
            for number, (augment, source) in enumerate(
                zip(self.chosen_augmentations(), self.sources(clips), strict=True)
            )
        ]

    def pooled(self, clips: Tensor) -> Tensor:
        """Features averaged over space and time, `(batch, dim)`, of clips `(batch, time, channels, height, width)`."""
        features: Tensor = self.encoder(clips)
        return features.mean(dim=1)

    def keep_keys(self, keys: Tensor, cines: Tensor) -> None:
        """Keeps the keys of a training step until it is over: its loss and gradient are those of the old queue."""
        if self.training:
            self._fresh = (keys.detach(), cines)

    def enqueue(self, queue: KeyQueue) -> None:
        """Puts the kept keys into the queue."""
        if self._fresh is not None:
            queue.enqueue(*self._fresh)
            self._fresh = None


def joined(parts: Sequence[ClipBatch]) -> ClipBatch:
    """Clips of the same cines one after the other in time, as one clip."""
    return replace(
        parts[0],
        pixels=torch.cat([part.pixels for part in parts], dim=1),
        times_s=torch.cat([part.times_s for part in parts], dim=1),
        looped=torch.stack([part.looped for part in parts]).any(dim=0),
    )


def normalised(view: View) -> Tensor:
    """The pixels of a view as encoders take them, here and after pretraining."""
    return normalise(255 * view.pixels)


@torch.no_grad()
def pair_accuracy(query: Tensor, key: Tensor) -> Tensor:
    """The share of queries whose own key is the most similar of all keys, by cosine.

    Args:
        query: `(batch, dim)`.
        key: `(batch, dim)`.
    """
    normalise = torch.nn.functional.normalize
    nearest = (normalise(query, dim=1) @ normalise(key, dim=1).T).argmax(dim=1)
    return (nearest == torch.arange(len(query), device=query.device)).float().mean()
