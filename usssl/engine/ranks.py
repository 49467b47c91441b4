"""Training on several processes that `torchrun` starts: each has its share of every batch, and all the same weights.

Sample `n` of a run depends on `n` and the seed alone, so a batch is the same however many ranks share it. Rank 0 alone
speaks and writes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TextIO, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import Dataset

from usssl import progress
from usssl.augment.seeds import Seeds
from usssl.engine.batches import ClipBatches
from usssl.engine.run import Run
from usssl.errors import UsageError, UssslError
from usssl.methods import Clips
from usssl.methods.parts import gather
from usssl.methods.parts.gather import rank, ranks
from usssl.recipe import TrainerArguments

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)  # a rank that waits longer for the others gives up


@contextmanager
def across_ranks() -> Iterator[None]:
    """Joins the process group that torchrun's environment describes, if any, for as long as the block lasts.

    Raises:
        UssslError: another rank stopped or no longer answers.
        UsageError: torchrun started more processes than there are GPUs.
    """
    own = ranks() == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    if own:
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group(backend, timeout=_TIMEOUT)
    quiet = progress.is_quiet()
    progress.set_quiet(quiet or rank() > 0)
    try:
        yield
    except RuntimeError as error:
        if ranks() == 1 or not _is_of_connection(error):
            raise
        raise UssslError(f"rank {rank()} lost touch with another rank, which says why it stopped") from error
    else:
        if own:  # after an error this might wait for ranks that are gone
            dist.destroy_process_group()
    finally:
        progress.set_quiet(quiet)


def _take_gpu(number: int) -> None:
    if number >= torch.cuda.device_count():
        raise UsageError(f"torchrun started more processes than the {torch.cuda.device_count()} GPUs of this machine")
    torch.cuda.set_device(number)


def _is_of_connection(error: RuntimeError) -> bool:
    # gloo raises no class of its own.
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "Connection" in str(error)


def rank_zero_first(work: Callable[[], T]) -> T:
    """Does the work on rank 0, then on the others; where it fails on rank 0, they end without a word of their own.

    Args:
        work: what may fail by a mistake of the user, which one sentence is enough for.
    """
    if ranks() == 1:
        return work()
    if rank() > 0:
        if code := int(_told(0)):
            raise SystemExit(code)
        return work()
    try:
        result = work()
    except UssslError as error:
        _told(error.exit_code)
        raise
    _told(0)
    return result


def _told(code: int) -> Tensor:
    said = torch.tensor(code)
    dist.broadcast(said, src=0)
    return said


def check_share(trainer: TrainerArguments) -> None:
    """Refuses a batch that the ranks cannot share, and a GPU that all of them would take.

    Raises:
        UsageError: with the key of the recipe.
    """
    if trainer.batch_size % ranks():
        raise UsageError(
            f"trainer.batch_size: {trainer.batch_size} clips cannot be shared by {ranks()} ranks alike; make it a "
            f"multiple of {ranks()}"
        )
    if ranks() > 1 and ":" in trainer.device:
        raise UsageError(f"trainer.device: {trainer.device} is one GPU for {ranks()} ranks; write cuda")


class Share(Dataset[Clips]):
    """This rank's part of every batch: the ranks hold consecutive parts, in their order."""

    def __init__(self, batches: ClipBatches) -> None:
        self.batches, self.rank, self.size = batches, rank(), batches.batch_size // ranks()

    def __getitem__(self, step: int) -> Clips:
        start = step * self.batches.batch_size + self.rank * self.size
        return self.batches.clips(range(start, start + self.size))


def seed_step(seed: int, step: int) -> None:
    """Of several ranks, seeds what a step draws besides its views (dropout): other numbers on each rank.

    They follow from seed, step and rank, so a resumed run draws them again. A single rank goes on with the random state
    that its checkpoint holds, and is not seeded.
    """
    torch.manual_seed(int(Seeds.for_samples(seed, 0, [step], rank()).keys[0] >> 1))


def average_gradients(model: nn.Module, loss: Tensor) -> float:
    """Averages the gradients over several ranks, and returns the loss averaged so: all in one message.

    Args:
        model: after its backward pass; the same parameters have gradients on every rank.
        loss: of this rank, a scalar.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    message = torch.cat([loss.detach().reshape(1).to(gradients[0]), *(gradient.flatten() for gradient in gradients)])
    dist.all_reduce(message)
    message /= ranks()
    place = 1
    for gradient in gradients:
        gradient.copy_(message[place : place + gradient.numel()].view_as(gradient))
        place += gradient.numel()
    return message[0].item()


def mean_over_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers averaged over the ranks at which they are finite, NaN where at none.

    Every rank must call it, with the same names.
    """
    if ranks() == 1:
        return dict(values)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    own = torch.tensor([list(values.values())], dtype=torch.float64, device=device)
    every = gather(own)
    found: list[float] = every.where(every.isfinite(), torch.nan).nanmean(dim=0).tolist()
    return dict(zip(values, found, strict=True))


class OtherRank(Run):
    """The run as ranks other than 0 have it: they read it and write nothing."""

    def save_weights(self, name: str, state: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Does nothing."""

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Does nothing."""

    def open_metrics(self) -> TextIO:
        """A file that is forgotten."""
        return io.StringIO()

    def drop_metrics_after(self, step: int) -> None:
        """Does nothing."""

    def write_provenance(self, **facts: Any) -> None:
        """Does nothing."""

    def log(self, message: str) -> None:
        """Does nothing."""


def check_same(step: int) -> None:
    """Makes sure that all ranks go on from the same step.

    Raises:
        UssslError: they do not, as where they do not share the run's folder.
    """
    steps: Iterable[int] = gather(torch.tensor([step])).tolist()
    if len(set(steps)) > 1:
        raise UssslError(
            f"the ranks found checkpoints of different steps ({', '.join(map(str, steps))}); put the run's folder "
            "where all of them see it"
        )
