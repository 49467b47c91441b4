"""Contrastive Video Representation Learning: Qian et al., CVPR 2021 (arXiv 2008.03800).

Two clips of a cine attract, clips of other cines repel. The gap between the two is drawn from a decreasing law, and
strong spatial augmentation is the same on all frames of a clip. Follows methods/cvrl; where that page says that the
paper's value was not found, it is the released code's.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from usssl.arguments import ClipArguments, Positive
from usssl.augment import ViewAugmentation
from usssl.augment.presets import cvrl
from usssl.data.sampling import IntervalPair
from usssl.methods.base import Clips, MethodArguments
from usssl.methods.functional import nt_xent
from usssl.methods.parts import gather, mlp, synchronise_batch_norm
from usssl.methods.views import CropArguments, ViewMethod, normalised, pair_accuracy
from usssl.models.encoders import Encoder


class CVRLArguments(CropArguments):
    """Arguments of `cvrl`.

    Attributes:
        temperature: tau.
        power: p of the law of gaps; 1 as released.
        law: decreasing is the method; uniform and increasing are ablations.
        gap_in_seconds: gaps in seconds rather than in legal starts, for frame rates that vary (ours).
        hidden: width of the hidden layers of the head.
        hidden_layers: their number.
        dim: of the embedding.
        reduction: `sum` of the two directions' means, as released, or the `mean` over the 2N rows, half of it.
        head_momentum: of the head's batch normalisation, in PyTorch's sense.
    """

    name: Literal["cvrl"] = "cvrl"
    temperature: Annotated[float, Field(gt=0)] = 0.1
    power: Annotated[float, Field(gt=0)] = 1.0
    law: Literal["decreasing", "uniform", "increasing"] = "decreasing"
    gap_in_seconds: bool = False
    hidden: Positive = 2048
    hidden_layers: Positive = 3
    dim: Positive = 128
    reduction: Literal["sum", "mean"] = "sum"
    head_momentum: Annotated[float, Field(gt=0, le=1)] = 0.003


class CVRL(ViewMethod):
    """Two clips of a cine, as alike as clips of no two cines.

    Args:
        encoder: of clips or of frames; its features are averaged over space and time.
        clip: frames and step of a clip; the paper's are 16 and 2.
        arguments: of the method.
    """

    preset: ClassVar[str | None] = "cvrl"
    Arguments: ClassVar[type[MethodArguments]] = CVRLArguments

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: CVRLArguments) -> None:
        super().__init__(encoder, clip, arguments)
        self.arguments = arguments
        widths = [encoder.dim, *[arguments.hidden] * arguments.hidden_layers, arguments.dim]
        self.head = mlp(widths, partial(nn.BatchNorm1d, momentum=arguments.head_momentum))
        synchronise_batch_norm(self)

    # -- clips and views ---------------------------------------------------------------------------------------

    def sampler(self) -> IntervalPair:
        """Two clips; the longer the gap between them the rarer."""
        return IntervalPair(
            **self.clip_facts,
            power=self.arguments.power,
            law=self.arguments.law,
            in_seconds=self.arguments.gap_in_seconds,
        )

    def augmentations(self) -> tuple[ViewAugmentation, ...]:
        """The first view blurred always, the second one rarely, and solarised in one of five."""
        return cvrl(self.clip.size, **self.view_switches)

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """`first` and `second`, `(batch, time, channels, height, width)`, and `cine`, which cine each is of."""
        first, second = self.augmented(clips, seed)
        return {"first": normalised(first), "second": normalised(second), "cine": clips.cines}

    # -- head and loss -----------------------------------------------------------------------------------------

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """NT-Xent over the batch of all ranks."""
        features = self.pooled(torch.cat([views["first"], views["second"]]))
        embedding = self.head(features)
        self.watch(features.chunk(2)[0], views["cine"], embedding.chunk(2)[0])
        a, b = (gather(z) for z in embedding.chunk(2))
        loss = nt_xent(a, b, self.arguments.temperature, reduction=self.arguments.reduction)
        return {"loss": loss, "pair_accuracy": pair_accuracy(a, b)}
