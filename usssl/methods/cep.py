"""Cycle Encoding Prediction: Yang, Mirmehdi, Burghardt, BMVC 2021 (arXiv 2010.07217).

One encoder for past, present and future of a run; one predictor forward in time, one backward; loops of predictions
close while a contrastive loss keeps cines apart. Follows methods/cep, which follows the released code.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from usssl.arguments import ClipArguments, Fraction, NonNegative, Positive
from usssl.augment import ClipBatch, ViewAugmentation
from usssl.augment.presets import cep
from usssl.data.sampling import Snippets
from usssl.methods.base import Clips, MethodArguments
from usssl.methods.functional import cycle_terms, multi_positive_info_nce, prediction_terms
from usssl.methods.parts import (
    KeyQueue,
    Momentum,
    in_groups,
    in_mixed_groups,
    mlp,
    momentum_at,
    synchronise_batch_norm,
)
from usssl.methods.parts.batch_norm import usable_groups
from usssl.methods.views import CropArguments, ViewMethod, joined, normalised
from usssl.models.encoders import Encoder


class CEPArguments(CropArguments):
    """Arguments of `cep`.

    Attributes:
        contrast_weight: of L_A.
        prediction_weight: of L_P.
        cycle_weight: of L_C; 0 is the ablation without cycles.
        temperature: T; 0.07 is what the code runs, whatever its configuration says.
        queue: K, past appearance keys.
        momentum: m; 0.99 is what the code runs.
        momentum_end: m at the end of a cosine from `momentum`; constant where None.
        dim: of both heads' outputs.
        hidden: width of the predictors' hidden layer.
        gap: source frames, in steps of the clip, left out between snippets (ours), against identity predictors.
        plus: the stronger augmentation with blur.
        mask_same_cine: queue rows of the clip's own cine are no negatives (ours).
        bn_groups: groups in which batch statistics are taken, against what they give away (ours).
    """

    name: Literal["cep"] = "cep"
    contrast_weight: NonNegative = 1.0
    prediction_weight: NonNegative = 1.0
    cycle_weight: NonNegative = 0.1
    temperature: Annotated[float, Field(gt=0)] = 0.07
    queue: Positive = 16384
    momentum: Fraction = 0.99
    momentum_end: Fraction | None = None
    dim: Positive = 2048
    hidden: Positive = 4096
    gap: Annotated[int, Field(ge=0)] = 0
    plus: bool = False
    mask_same_cine: bool = True
    bn_groups: Positive = 4

    def check(self, clip: ClipArguments) -> None:
        """Refuses a loss without parts."""
        if not (self.contrast_weight or self.prediction_weight or self.cycle_weight):
            raise ValueError(
                "method.contrast_weight, method.prediction_weight and method.cycle_weight are all 0, which leaves "
                "nothing to learn: set one of them above 0"
            )


class CEP(ViewMethod):
    """Predictions forward and backward in time whose loops close.

    Args:
        encoder: of clips or of frames; its features are averaged over space and time.
        clip: frames and step of one snippet; the code's are 16 of 24 a second.
        arguments: of the method.
    """

    preset: ClassVar[str | None] = "cep"
    Arguments: ClassVar[type[MethodArguments]] = CEPArguments

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: CEPArguments) -> None:
        super().__init__(encoder, clip, arguments)
        self.arguments = arguments
        features, dim, hidden = encoder.dim, arguments.dim, arguments.hidden
        self.appearance = mlp([features, features, dim])
        self.cycle = mlp([features, features, dim], nn.LayerNorm)
        self.mu = mlp([dim, hidden, dim], nn.BatchNorm1d)
        self.nu = mlp([dim, hidden, dim], nn.BatchNorm1d)
        synchronise_batch_norm(self)
        self.target = Momentum(encoder=self.encoder, appearance=self.appearance, cycle=self.cycle)
        self.queue = KeyQueue(arguments.queue, dim)

    # -- clips and views ---------------------------------------------------------------------------------------

    def sampler(self) -> Snippets:
        """Past, present, future, and a key of the same run."""
        return Snippets(**self.clip_facts, gap=self.arguments.gap)

    def augmentations(self) -> tuple[ViewAugmentation, ...]:
        """One draw for the three snippets, another for the key."""
        return cep(self.clip.size, plus=self.arguments.plus, **self.view_switches)

    def sources(self, clips: Clips) -> list[ClipBatch]:
        """The three snippets as one clip, so that they share one draw, and the key."""
        past, present, future, key = super().sources(clips)
        return [joined([past, present, future]), key]

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """`snippets` `(batch, 3, time, channels, height, width)` under one draw, `key` without the 3, and `cine`."""
        run, key = self.augmented(clips, seed)
        return {
            "snippets": normalised(run).unflatten(1, (3, self.clip.frames)),
            "key": normalised(key),
            "cine": clips.cines,
        }

    # -- heads and loss ----------------------------------------------------------------------------------------

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """L_A, L_P and L_C (methods/cep, Loss); `identity_loss` is L_P of predictors that change nothing."""
        arguments, cine = self.arguments, views["cine"]
        groups = usable_groups(self.bn_groups, len(cine))
        h = in_groups(self._snippets, views["snippets"], groups)
        a, c = (nn.functional.normalize(head(h), dim=-1) for head in (self.appearance, self.cycle))
        self.watch(h[:, 1], cine, c[:, 1])
        with torch.no_grad():
            target = in_groups(self._target_snippets, views["snippets"], groups)
            k = in_mixed_groups(self._key, views["key"], groups)
        latents, targets = c.unbind(1), target.unbind(1)
        found = {
            "contrast_loss": multi_positive_info_nce(
                a,
                k,
                arguments.temperature,
                self.queue.keys,
                allowed=self.queue.allowed(cine) if arguments.mask_same_cine else None,
                normalise=False,
            ),
            "prediction_loss": prediction_terms(latents, targets, self.mu, self.nu).mean(),
            "cycle_loss": cycle_terms(latents, targets, self.mu, self.nu).mean(),
        }
        weights = (arguments.contrast_weight, arguments.prediction_weight, arguments.cycle_weight)
        loss = sum(weight * part for weight, part in zip(weights, found.values(), strict=True) if weight)
        self.keep_keys(k, cine)
        with torch.no_grad():
            found["identity_loss"] = prediction_terms(latents, targets, nn.Identity(), nn.Identity()).mean()
        return {"loss": torch.as_tensor(loss), **found}

    def _snippets(self, clips: Tensor) -> Tensor:
        """Pooled features `(batch, 3, dim)` of snippets `(batch, 3, time, channels, height, width)`."""
        return self.pooled(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])

    def _target_snippets(self, clips: Tensor) -> Tensor:
        features = self.target("encoder", clips.flatten(0, 1)).mean(dim=1)
        return nn.functional.normalize(self.target("cycle", features), dim=1).unflatten(0, clips.shape[:2])

    def _key(self, clips: Tensor) -> Tensor:
        features = self.target("encoder", clips).mean(dim=1)
        return nn.functional.normalize(self.target("appearance", features), dim=1)

    def after_step(self, progress: float) -> None:
        """The momentum encoder follows, then the keys of this step enter the queue."""
        m = momentum_at(progress, self.arguments.momentum, self.arguments.momentum_end)
        self.target.follow(m, encoder=self.encoder, appearance=self.appearance, cycle=self.cycle)
        self.enqueue(self.queue)
