"""CATE-style: composable augmentation encoding, after Sun et al., ICCV 2021 (arXiv 2104.00616); hyper-parameters ours.

The projection head is told how two views of a cine differ, so that the encoder may keep what differs. No training code
was published and the paper's sizes were not found: everything that methods/cate marks [S] is ours.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from usssl.arguments import ClipArguments, Fraction, Positive
from usssl.augment import Encoding, Encodings, View, ViewAugmentation
from usssl.augment.depth import DepthChange
from usssl.augment.presets import cate
from usssl.data.sampling import IndependentPair
from usssl.methods.base import Clips, MethodArguments
from usssl.methods.functional import info_nce
from usssl.methods.parts import (
    KeyQueue,
    Momentum,
    gather,
    in_groups,
    in_mixed_groups,
    momentum_at,
    synchronise_batch_norm,
)
from usssl.methods.parts.batch_norm import usable_groups
from usssl.methods.parts.encoding_heads import ConcatHead, TokenHead
from usssl.methods.views import CropArguments, ViewMethod, normalised, pair_accuracy
from usssl.models.encoders import Encoder

Told = dict[str, Encoding]


class CATEArguments(CropArguments):
    """Arguments of `cate`; all values are ours.

    Attributes:
        temperature: tau.
        encodings: what the head is told; no kinds is the baseline, `shuffled` the control.
        head: a transformer over tokens, or the MLP baseline.
        width: d of the tokens, or of the MLP's hidden layer.
        layers: blocks of the transformer.
        heads: its attention heads.
        dim: of the embedding.
        negatives: the other keys of the batch of all ranks, or a queue of a momentum encoder's keys.
        queue: K, keys in the queue.
        momentum: m of the momentum encoder, with a queue.
        momentum_end: m at the end of a cosine from `momentum`; constant where None.
        max_shift_s: largest time between the starts of the two clips, seconds; any where None.
        max_step: each clip's step is drawn from `data.clip.step` to this, so that there is a speed to tell; all are
            `data.clip.step` where None.
        mask_same_cine: queue rows of the clip's own cine are no negatives.
        bn_groups: groups in which batch statistics are taken with a queue, against what they give away.
    """

    name: Literal["cate"] = "cate"
    temperature: Annotated[float, Field(gt=0)] = 0.1
    encodings: Encodings = Encodings(sinusoids=8)
    head: Literal["transformer", "mlp"] = "transformer"
    width: Positive = 256
    layers: Positive = 2
    heads: Positive = 4
    dim: Positive = 128
    negatives: Literal["batch", "queue"] = "batch"
    queue: Positive = 4096
    momentum: Fraction = 0.999
    momentum_end: Fraction | None = None
    max_shift_s: Annotated[float, Field(gt=0)] | None = None
    max_step: Positive | None = None
    mask_same_cine: bool = True
    bn_groups: Positive = 4

    def check(self, clip: ClipArguments) -> None:
        """Refuses paces that cannot be drawn, and tokens that the attention heads cannot share out."""
        if self.head == "transformer" and self.width % self.heads:
            raise ValueError(
                f"method.width: {self.width} should be a multiple of method.heads, {self.heads}, where method.head is "
                "transformer"
            )
        if self.max_step is not None and (self.step_s is not None or self.max_step < clip.step):
            raise ValueError(
                f"method.max_step: {self.max_step} should be at least data.clip.step, {clip.step}, and stand without "
                "step_s"
            )


class CATE(ViewMethod):
    """Two clips of a cine, matched by a head that knows how they differ.

    Args:
        encoder: of clips or of frames; its features are averaged over space and time.
        clip: frames and step of a clip.
        arguments: of the method.
    """

    preset: ClassVar[str | None] = "cate"
    Arguments: ClassVar[type[MethodArguments]] = CATEArguments

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: CATEArguments) -> None:
        super().__init__(encoder, clip, arguments)
        self.arguments = arguments
        numbers: dict[str, int] = {kind: arguments.encodings.numbers(kind) for kind in arguments.encodings.kinds}
        self.head: nn.Module
        if arguments.head == "mlp":
            self.head = ConcatHead(encoder.dim, numbers, width=arguments.width, out=arguments.dim)
        else:
            self.head = TokenHead(
                encoder.dim,
                numbers,
                width=arguments.width,
                layers=arguments.layers,
                heads=arguments.heads,
                out=arguments.dim,
            )
        synchronise_batch_norm(self)
        if arguments.negatives == "queue":
            self.target = Momentum(encoder=self.encoder, head=self.head)
            self.queue = KeyQueue(arguments.queue, arguments.dim)

    # -- clips and views ---------------------------------------------------------------------------------------

    def sampler(self) -> IndependentPair:
        """Two clips with independent starts."""
        arguments = self.arguments
        return IndependentPair(**self.clip_facts, max_shift_s=arguments.max_shift_s, max_stride=arguments.max_step)

    def augmentations(self) -> tuple[ViewAugmentation, ...]:
        """Two views alike; crop, flip, time and speed can be told, tone and blur cannot."""
        return cate(self.clip.size, **self.view_switches)

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """`a` and `b`, `(batch, time, channels, height, width)`, their `cine`, the time shift, and what is told."""
        a, b = self.augmented(clips, seed)
        told = {name: value.to(clips.cines.device) for name, value in self.encode(a, b).items()}
        shift = (b.start_s - a.start_s).float().to(clips.cines.device)
        return {"a": normalised(a), "b": normalised(b), "cine": clips.cines, "shift_s": shift, **told}

    def encode(self, a: View, b: View) -> dict[str, Tensor]:
        """What the head is told, by side and kind: `(batch, numbers)`, NaN where not known.

        Relative: the query of either direction is told the way to the other view, the key nothing. Absolute: each query
        is told its own view, and each key those of its own facts that are drawn alike for all cines; its time, speed or
        crop in mm, or a crop that follows the sector, would tell cines of different length, frame rate, depth or
        sector apart.
        """
        encodings = self.arguments.encodings
        if encodings.mode == "relative":
            sides = {"query_a": encodings.relative(a, b), "query_b": encodings.relative(b, a)}
        else:
            sides = {"query_a": encodings.absolute(a), "query_b": encodings.absolute(b)}
            alike = encodings.crop_unit == "share" and not self._crops_follow_the_sector
            safe = {"flip", "crop"} if alike else {"flip"}
            for side, view in (("key_a", a), ("key_b", b)):
                told = encodings.absolute(view)
                sides[side] = {kind: encoding for kind, encoding in told.items() if kind in safe}
        return {
            f"{side}/{kind}": torch.where(encoding.known[:, None], encoding.values, torch.nan)
            for side, told in sides.items()
            for kind, encoding in told.items()
        }

    @property
    def _crops_follow_the_sector(self) -> bool:
        ops = [op for view in self.chosen_augmentations() for op in view.ops]
        return any(isinstance(op, DepthChange) or getattr(op, "within", None) == "sector" for op in ops)

    # -- head and loss -----------------------------------------------------------------------------------------

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean of both directions; `told_gap` is what the loss gains by being told another pair's encodings."""
        told = {side: _told(views, side) for side in ("query_a", "query_b", "key_a", "key_b")}
        loss, accuracy, gap = self._with_queue(views, told) if self._queued else self._in_batch(views, told)
        found = {"loss": loss, "pair_accuracy": accuracy, "told_gap": gap}
        return found | {"shift_s": views["shift_s"].abs().nanmean()}

    @property
    def _queued(self) -> bool:
        return self.arguments.negatives == "queue"

    @property
    def bn_groups(self) -> int:
        """As asked for with a queue; without one batch statistics are over the whole batch."""
        return self.arguments.bn_groups if self._queued else 1

    def _in_batch(self, views: dict[str, Tensor], told: dict[str, Told]) -> tuple[Tensor, Tensor, Tensor]:
        h_a, h_b = self.pooled(torch.cat([views["a"], views["b"]])).chunk(2)
        k_a, k_b = gather(self.head(h_a, told["key_a"])), gather(self.head(h_b, told["key_b"]))

        def loss(own_a: Tensor, own_b: Tensor) -> tuple[Tensor, Tensor]:
            q_a, q_b = gather(own_a), gather(own_b)
            there = info_nce(q_a, k_b, self.arguments.temperature, normalise=False)
            back = info_nce(q_b, k_a, self.arguments.temperature, normalise=False)
            return (there + back) / 2, pair_accuracy(q_a, k_b)

        own_a, own_b = self.head(h_a, told["query_a"]), self.head(h_b, told["query_b"])
        self.watch(h_a, views["cine"], own_a)
        found, accuracy = loss(own_a, own_b)
        with torch.no_grad():
            other, _ = loss(self.head(h_a, _rolled(told["query_a"])), self.head(h_b, _rolled(told["query_b"])))
        return found, accuracy, other - found.detach()

    def _with_queue(self, views: dict[str, Tensor], told: dict[str, Told]) -> tuple[Tensor, Tensor, Tensor]:
        arguments, cine = self.arguments, views["cine"]
        groups = usable_groups(self.bn_groups, len(cine))
        h_a, h_b = (in_groups(self.pooled, views[view], groups) for view in ("a", "b"))
        with torch.no_grad():
            k_a, k_b = (
                self.target("head", in_mixed_groups(self._target_features, views[view], groups), told[f"key_{view}"])
                for view in ("a", "b")
            )
        allowed = self.queue.allowed(cine) if arguments.mask_same_cine else None

        def loss(q_a: Tensor, q_b: Tensor) -> tuple[Tensor, Tensor]:
            there, back = (
                info_nce(q, k, arguments.temperature, self.queue.keys, allowed=allowed, normalise=False)
                for q, k in ((q_a, k_b), (q_b, k_a))
            )
            best = (q_a @ self.queue.keys.T).amax(dim=1)
            return (there + back) / 2, ((q_a * k_b).sum(dim=1) > best).float().mean()

        q_a, q_b = self.head(h_a, told["query_a"]), self.head(h_b, told["query_b"])
        self.watch(h_a, cine, q_a)
        found, accuracy = loss(q_a, q_b)
        with torch.no_grad():
            other, _ = loss(self.head(h_a, _rolled(told["query_a"])), self.head(h_b, _rolled(told["query_b"])))
        self.keep_keys(torch.stack([k_b, k_a], dim=1).flatten(0, 1), cine.repeat_interleave(2))
        return found, accuracy, other - found.detach()

    def _target_features(self, clips: Tensor) -> Tensor:
        return self.target("encoder", clips).mean(dim=1)

    def after_step(self, progress: float) -> None:
        """With a queue: the momentum encoder follows, then the keys of this step enter the queue."""
        if self._queued:
            m = momentum_at(progress, self.arguments.momentum, self.arguments.momentum_end)
            self.target.follow(m, encoder=self.encoder, head=self.head)
            self.enqueue(self.queue)


def _told(views: dict[str, Tensor], side: str) -> Told:
    return {
        name.partition("/")[2]: Encoding.of(values) for name, values in views.items() if name.startswith(f"{side}/")
    }


def _rolled(told: Told) -> Told:
    return {kind: encoding.rows(torch.arange(len(encoding.known)).roll(1)) for kind, encoding in told.items()}
