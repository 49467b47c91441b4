"""What a labelled task is: which frames it draws, what they should be, a head, a loss, and how it is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from usssl.arguments import NamedArguments
from usssl.data import Store
from usssl.models.encoders import Encoder

if TYPE_CHECKING:
    from usssl.tasks.predictor import Predictor

FrameKey = tuple[int, int]  # (row of the store, frame of the cine)


class TaskArguments(NamedArguments):
    """The `task:` block of a recipe; each task adds its own keys."""


@dataclass(frozen=True)
class Evaluation:
    """How a model does on some cines.

    Attributes:
        metrics: named figures over all cines.
        per_cine: the same for each cine, by its id, for intervals over patients.
        details: what a report draws, such as a confusion matrix.
    """

    metrics: dict[str, float]
    per_cine: dict[str, dict[str, float]]
    details: dict[str, Any]


class TaskHead(nn.Module):
    """Maps feature maps `(batch, time, dim, h, w)` to named outputs of the bundle."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """The outputs by their names in the bundle's contract."""
        raise NotImplementedError


class Task(ABC):
    """A task over the frames of a store.

    Args:
        arguments: the `task:` block.
        store: the prepared frames with their labels.
        size: height and width of the model's input.
    """

    Arguments: ClassVar[type[TaskArguments]]
    output_stride: ClassVar[int] = 16
    metric: ClassVar[str]
    """The measure of `evaluate` by which models of this task are chosen on validation cines."""
    higher_is_better: ClassVar[bool] = True
    classes: Sequence[str] = ()

    def __init__(self, arguments: TaskArguments, store: Store, size: tuple[int, int]) -> None:
        self.arguments, self.store, self.size = arguments, store, size

    @abstractmethod
    def labelled(self, cine: int) -> bool:
        """Whether a cine has this task's labels."""

    @abstractmethod
    def kinds(self, cine: int) -> set[str]:
        """What a cine has to teach, so that a small choice of cines can cover everything."""

    @abstractmethod
    def draw(self, cines: Sequence[int], count: int, rng: np.random.Generator) -> list[FrameKey]:
        """Draws training frames."""

    @abstractmethod
    def head(self, encoder: Encoder) -> TaskHead:
        """A fresh head for an encoder."""

    @abstractmethod
    def targets(self, keys: Sequence[FrameKey], matrices: Tensor) -> Tensor:
        """What the frames should give, once warped by `matrices` from view to store pixels."""

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        """The training loss, a scalar."""

    @abstractmethod
    def evaluate(self, predict: Predictor, cines: Sequence[int]) -> Evaluation:
        """Measures a model on whole cines."""
