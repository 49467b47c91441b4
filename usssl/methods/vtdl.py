"""Video-based Temporal-Discriminative Learning: Wang, Lin, Ma, Yuen, 2020 (arXiv 2008.02129).

An anchor's positive shows the same frames, its hard negative another time of the same cine; a queue holds clips of
other cines. Temporal Consistent Augmentation changes how the anchor looks and keeps how it moves. Follows methods/vtdl,
whose equations come from the paper's abstract and its code.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from usssl.arguments import ClipArguments, Fraction, NonNegative, Positive
from usssl.augment import ViewAugmentation
from usssl.augment.presets import vtdl
from usssl.data.sampling import Triplet
from usssl.methods.base import Clips, MethodArguments
from usssl.methods.functional import info_nce_logits
from usssl.methods.parts import (
    KeyQueue,
    Momentum,
    in_groups,
    in_mixed_groups,
    momentum_at,
    synchronise_batch_norm,
)
from usssl.methods.parts.batch_norm import usable_groups
from usssl.methods.views import ViewArguments, ViewMethod, normalised
from usssl.models.encoders import Encoder


class VTDLArguments(ViewArguments):
    """Arguments of `vtdl`.

    Attributes:
        temperature: tau.
        queue: K, past keys that serve as negatives.
        momentum: m of the momentum encoder.
        momentum_end: m at the end of a cosine from `momentum`; constant where None.
        dim: of the embedding.
        tca: alpha of Temporal Consistent Augmentation; 0 switches it off.
        triplet: the negative from another time of the same cine; false is the ablation without.
        min_distance: least distance of the negative's start from the anchor's, source frames; a quarter of the clip's
            span where None (ours).
        min_distance_s: the same in seconds, in place of it (ours).
        max_overlap: largest share that anchor and negative have in common of the time that both span, as intersection
            over union; 1 allows any (ours).
        cycle_s: length of a cycle, such as a heart beat, whose equal phases are no negatives (ours).
        margin_weight: of a triplet margin loss, which the code computes and does not add.
        mask_same_cine: queue rows of the anchor's own cine are no negatives (ours).
        bn_groups: groups in which batch statistics are taken, against what they give away.
    """

    name: Literal["vtdl"] = "vtdl"
    temperature: Annotated[float, Field(gt=0)] = 0.07
    queue: Positive = 3569
    momentum: Fraction = 0.999
    momentum_end: Fraction | None = None
    dim: Positive = 128
    tca: Annotated[float, Field(ge=0, le=1)] = 0.1
    triplet: bool = True
    min_distance: Positive | None = None
    min_distance_s: Annotated[float, Field(gt=0)] | None = None
    max_overlap: Fraction = 1.0
    cycle_s: Annotated[float, Field(gt=0)] | None = None
    margin_weight: NonNegative = 0.0
    mask_same_cine: bool = True
    bn_groups: Positive = 4


class VTDL(ViewMethod):
    """When a clip was taken: like the same frames, unlike another time and other cines.

    Args:
        encoder: of clips or of frames; its features are averaged over space and time.
        clip: frames and step of a clip; the code's are 16 and 4.
        arguments: of the method.
    """

    preset: ClassVar[str | None] = "vtdl"
    Arguments: ClassVar[type[MethodArguments]] = VTDLArguments

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: VTDLArguments) -> None:
        super().__init__(encoder, clip, arguments)
        self.arguments = arguments
        self.head = nn.Linear(encoder.dim, arguments.dim)
        synchronise_batch_norm(self)
        self.target = Momentum(encoder=self.encoder, head=self.head)
        self.queue = KeyQueue(arguments.queue, arguments.dim)

    # -- clips and views ---------------------------------------------------------------------------------------

    def sampler(self) -> Triplet:
        """The anchor's frames twice, and a clip from another time."""
        return Triplet(
            **self.clip_facts,
            min_distance=self.arguments.min_distance,
            min_distance_s=self.arguments.min_distance_s,
            max_overlap=self.arguments.max_overlap,
            cycle_s=self.arguments.cycle_s,
        )

    def augmentations(self) -> tuple[ViewAugmentation, ...]:
        """Rotation, crop and colour jitter for all three, TCA for the anchor."""
        return vtdl(self.clip.size, tca=self.arguments.tca, **self.view_switches)

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """`anchor`, `positive` and `negative`, `(batch, time, channels, height, width)`, and the `cine` of each.

        Beside them what a short cine brings about: `negative_overlap`, the share of the negative's frames that are
        frames of the anchor, and `negative_shift_s`, the time from one to the other, NaN where not known.
        """
        anchor, positive, negative = self.augmented(clips, seed)
        shift = (negative.start_s - anchor.start_s).abs().float()
        return {
            "anchor": normalised(anchor),
            "positive": normalised(positive),
            "negative": normalised(negative),
            "cine": clips.cines,
            "negative_overlap": shared_frames(clips.frames[:, 0], clips.frames[:, 2]),
            "negative_shift_s": shift.to(clips.cines.device),
        }

    # -- heads and loss ----------------------------------------------------------------------------------------

    def embed(self, clips: Tensor) -> Tensor:
        """Unit embeddings `(batch, dim)` by the trained encoder."""
        return self.project(self.pooled(clips))

    def project(self, features: Tensor) -> Tensor:
        """Unit embeddings of pooled features."""
        return nn.functional.normalize(self.head(features), dim=1)

    @torch.no_grad()
    def embed_key(self, clips: Tensor) -> Tensor:
        """Unit embeddings `(batch, dim)` by the momentum encoder."""
        features = self.target("encoder", clips).mean(dim=1)
        return nn.functional.normalize(self.target("head", features), dim=1)

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """One InfoNCE over the positive, the queue and the hard negative (methods/vtdl, section 5).

        The positive and the hard negative are normalised in the same mixture of clips, so that their batch statistics
        do not tell them apart. A negative that shows no frame but the anchor's is none: it would be the positive again.
        """
        arguments, cine = self.arguments, views["cine"]
        groups = usable_groups(self.bn_groups, len(cine))
        h = in_groups(self.pooled, views["anchor"], groups)
        q = self.project(h)
        self.watch(h, cine, q)
        with torch.no_grad():
            k = in_mixed_groups(self.embed_key, views["positive"], groups)
        n = in_mixed_groups(self.embed, views["negative"], groups) if arguments.triplet else None
        logits = info_nce_logits(
            q,
            k,
            arguments.temperature,
            self.queue.keys,
            extra=None if n is None else n[:, None],
            allowed=self.queue.allowed(cine) if arguments.mask_same_cine else None,
            normalise=False,
        )
        another = views["negative_overlap"] < 1
        if n is not None:
            hard = logits[:, -1:].masked_fill(~another[:, None], -torch.inf)
            logits = torch.cat([logits[:, :-1], hard], dim=1)
        loss = nn.functional.cross_entropy(logits, logits.new_zeros(len(logits)).long())
        found = {"loss": loss, "positive_cosine": (q * k).sum(dim=1).mean()}
        if n is not None:
            found["negative_cosine"] = (q * n).sum(dim=1).mean()
            found["negative_overlap"] = views["negative_overlap"].mean()
            found["negative_shift_s"] = views["negative_shift_s"].nanmean()
            if arguments.margin_weight:
                margins = nn.functional.triplet_margin_loss(q, k, n, reduction="none")
                margin = (another * margins).mean()
                found |= {"margin_loss": margin, "loss": loss + arguments.margin_weight * margin}
        self.keep_keys(k, cine)
        return found | {"pair_accuracy": (logits.argmax(dim=1) == 0).float().mean()}

    def after_step(self, progress: float) -> None:
        """The momentum encoder follows, then the keys of this step enter the queue."""
        m = momentum_at(progress, self.arguments.momentum, self.arguments.momentum_end)
        self.target.follow(m, encoder=self.encoder, head=self.head)
        self.enqueue(self.queue)


def shared_frames(anchor: Tensor, negative: Tensor) -> Tensor:
    """The share of the negative's frames that the anchor shows too, pixel by pixel: `(batch,)`, 0 to 1.

    Args:
        anchor: `(batch, time, channels, height, width)`, as stored.
        negative: the same.
    """
    # A few pixels tell most frames apart; only those that they do not are compared as a whole.
    few, other = (frames[..., ::16, ::16].flatten(2) for frames in (anchor, negative))
    alike = (other[:, :, None] == few[:, None]).all(dim=3)
    for clip, one, another in alike.nonzero().tolist():
        alike[clip, one, another] = torch.equal(negative[clip, one], anchor[clip, another])
    return alike.any(dim=2).float().mean(dim=1)
