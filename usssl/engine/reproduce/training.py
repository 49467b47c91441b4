"""A short training without a run folder, for toys on which an encoder of five convolutions is enough.

It takes a third of the time that `usssl.pretrain` takes with the smallest of the encoders by name, on one core.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from usssl.data import Store
from usssl.engine.batches import ClipBatches
from usssl.engine.pretraining import split_cines
from usssl.methods import Method
from usssl.models.encoders import ClipEncoder
from usssl.models.initial import initialise

WEIGHT_DECAY = 0.01


class ToyEncoder(ClipEncoder):
    """Five 3-D convolutions with batch normalisation; half of time, an eighth of height and width.

    The last two see the whole of a small frame and of a short clip and cost little: with three, vtdl learnt no motion.

    Args:
        dim: feature channels; the first two layers have a quarter and a half.
        layers: 3 to 5; with fewer, more of what a place looks like is left in the features.
    """

    def __init__(self, dim: int = 32, layers: int = 5) -> None:
        super().__init__()
        self.dim, self.stride, self.time_stride = dim, 8, 2
        channels = (1, dim // 4, dim // 2, dim, dim, dim)
        kernels = ((3, 5, 5), *[(3, 3, 3)] * 4)
        strides = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(
                    before,
                    after,
                    kernel,
                    stride=stride,
                    padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2),
                    bias=False,
                ),
                nn.BatchNorm3d(after),
                nn.ReLU(inplace=True),
            )
            for before, after, kernel, stride in zip(channels, channels[1 : layers + 1], kernels, strides, strict=False)
        )
        initialise(self)

    def stages(self) -> list[list[nn.Module]]:
        """One stage a convolution."""
        return [[block] for block in self.blocks]


def train(method: Method, store: Store, *, steps: int, batch_size: int, lr: float, seed: int) -> list[dict[str, float]]:
    """Trains a method on the training cines of a store by AdamW with a warm-up and a cosine, as `usssl.pretrain` does.

    Args:
        method: put into training mode, on the GPU where there is one.
        store: of frames at the size that the method takes.
        steps: of the optimiser.
        batch_size: clips a step.
        lr: the largest learning rate.
        seed: of clips and augmentations; the first weights are the caller's.

    Returns:
        Losses and measures of every step.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method.to(device).train()
    batches = ClipBatches(store, split_cines(store, "train"), method.sampler(), batch_size, seed)
    optimizer = torch.optim.AdamW(method.parameters(), lr, weight_decay=WEIGHT_DECAY)
    warm_up = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    found = []
    for step in range(steps):
        losses: dict[str, Tensor] = method(method.views(batches[step].to(device), seed))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        schedule.step()
        method.after_step((step + 1) / steps)
        found.append({name: float(value.detach()) for name, value in losses.items()})
    return found
