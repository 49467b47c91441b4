"""Two guards against what batch normalisation gives away, on one device and on many.

A network that normalises a query and its key with statistics of the same clips can tell the pair by the statistics
alone: the loss falls and nothing is learned (He et al., CVPR 2020, section 3.3). Statistics over the whole batch of all
ranks do not help a method with a queue, whose other keys are of earlier batches. So:

- methods with a queue normalise queries in groups, and keys in groups of which each is a mixture of all the queries'
  groups (`in_groups`, `in_mixed_groups`): MoCo's shuffling, but by a fixed rule instead of a random order, which mixes
  evenly at every step, needs no random state, and gives the same groups however many ranks share the batch;
- methods with negatives of the same batch normalise over the batch of all ranks, so that no key differs from the others
  by its statistics.

Both pass their networks through `synchronise_batch_norm`: where there are fewer groups than ranks, a group is the clips
of several ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from usssl.methods.parts.gather import gather, own, rank, ranks

Encode = Callable[[Tensor], Tensor]

_ranks_together: ContextVar[int | None] = ContextVar("_ranks_together", default=None)  # None: all


def usable_groups(wanted: int, batch: int) -> int:
    """The most groups, at most `wanted`, into which the batch of all ranks can be split.

    A group holds at least two clips. Each rank holds whole groups, or each group is the clips of as many whole ranks.
    Divisors of `wanted` come first: one rank, two and four find the same number where `wanted` is a power of two.

    Args:
        wanted: groups asked for.
        batch: clips on each rank.
    """
    possible = range(2, min(wanted, batch * ranks() // 2) + 1)
    for groups in sorted(possible, key=lambda groups: (wanted % groups > 0, -groups)):
        within_ranks = groups % ranks() == 0 and batch % (groups // ranks()) == 0
        if within_ranks or ranks() % groups == 0:
            return groups
    return 1


def groups_in_words(wanted: int, batch: int) -> str | None:
    """What to tell a person of the groups that `usable_groups` finds: None where they are those asked for.

    Args:
        wanted: groups asked for.
        batch: clips on each rank.
    """
    groups = usable_groups(wanted, batch)
    if groups == wanted:
        return None
    whole = f"a batch of {batch * ranks()}{f' on {ranks()} ranks' if ranks() > 1 else ''}"
    if groups > 1:
        return (
            f"batch statistics in {groups} groups instead of {wanted}: {whole} does not divide into {wanted} of at "
            "least two clips"
        )
    larger = range(batch + 1, batch + 2 * wanted + 1)
    best = max(larger, key=lambda clips: usable_groups(wanted, clips))
    mend = (
        f"make trainer.batch_size {best * ranks()}"
        if usable_groups(wanted, best) > 1
        else f"make method.bn_groups {ranks()}, or train on another number of ranks"
    )
    return (
        f"warning: batch statistics in 1 group instead of {wanted}, so that the guard against what they give away is "
        f"off: {whole} divides neither into {wanted} of at least two clips nor into fewer; {mend}"
    )


def in_groups(encode: Encode, clips: Tensor, groups: int) -> Tensor:
    """Encodes this rank's clips in consecutive groups, each with its own statistics.

    Args:
        encode: `(clips, …)` to `(clips, …)`; its batch normalisation is of `synchronise_batch_norm`.
        clips: `(batch, …)`.
        groups: over all ranks, from `usable_groups`.
    """
    with _normalising_over(max(1, ranks() // groups)):
        return torch.cat([encode(part) for part in clips.chunk(max(1, groups // ranks()))])


def in_mixed_groups(encode: Encode, clips: Tensor, groups: int) -> Tensor:
    """Encodes this rank's clips in groups that mix those of `in_groups`, and puts them back in order.

    With G groups of n clips, each mixed group holds n / G clips of each consecutive one (as nearly as divides).

    Args:
        encode: as for `in_groups`.
        clips: `(batch, …)` of this rank; with several ranks they travel between them.
        groups: over all ranks, from `usable_groups`.
    """
    order = mixed_order(len(clips) * ranks(), groups).to(clips.device)
    mine = order.unflatten(0, (ranks(), -1))[rank()]
    encoded = gather(in_groups(encode, gather(clips)[mine], groups))
    return own(encoded[order.argsort()])


def mixed_order(batch: int, groups: int) -> Tensor:
    """The order in which clips are encoded, `(batch,)`: the first clip of each group, then the second of each, …."""
    return torch.arange(batch).unflatten(0, (groups, -1)).T.flatten()


@contextmanager
def _normalising_over(together: int) -> Iterator[None]:
    token = _ranks_together.set(together)
    try:
        yield
    finally:
        _ranks_together.reset(token)


class CrossRankBatchNorm(_BatchNorm):
    """Batch normalisation with the statistics of all ranks, on any device; the batches are of equal size.

    Within `in_groups` it takes those of the group's ranks. PyTorch's SyncBatchNorm does so on CUDA alone. Gradient
    flows through the statistics to all their ranks.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalises `(batch, channels, …)`."""
        together = _ranks_together.get() or ranks()
        if not self.training or together == 1:
            return super().forward(x)
        group = rank() // together
        dims = [dim for dim in range(x.ndim) if dim != 1]
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        variance, mean = torch.var_mean(wide, dim=dims, correction=0)
        every = gather(torch.stack([mean, variance])[None])
        each_mean, each_variance = every[group * together : (group + 1) * together].unbind(1)
        mean = each_mean.mean(dim=0)
        variance = (each_variance + (each_mean - mean).square()).mean(dim=0)
        self._remember(mean.detach(), variance.detach(), x.numel() // x.shape[1] * together)
        shape = [-1 if dim == 1 else 1 for dim in range(x.ndim)]
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (wide * scale.view(shape) + shift.view(shape)).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((variance * count / max(1, count - 1)).to(self.running_var), share)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f"batch normalisation needs (batch, channels, …), got {tuple(x.shape)}")


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Replaces every batch normalisation in a module by one over all ranks; names in the state dict stay.

    Returns:
        The module, or what replaces it where it is a batch normalisation itself.
    """
    if isinstance(module, _BatchNorm) and not isinstance(module, CrossRankBatchNorm):
        new = CrossRankBatchNorm(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
        )
        held = module.weight if module.affine else module.running_mean
        new = new if held is None else new.to(held.device, held.dtype)
        new.load_state_dict(module.state_dict())
        return new.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, synchronise_batch_norm(child))
    return module


def has_batch_norm(module: nn.Module) -> bool:
    """Whether anything in a module normalises over the batch."""
    return any(isinstance(part, _BatchNorm) for part in module.modules())
