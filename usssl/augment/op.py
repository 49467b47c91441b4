"""The contract of every augmentation: typed arguments, a record of drawn parameters, pixels changed by these alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.seeds import Seeds


@dataclass(frozen=True)
class Params:
    """What was drawn for each clip: tensors on the CPU, one row a clip."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def rows(self, index: slice | Tensor) -> Self:
        """The parameters of some clips."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def row(self, index: int) -> dict[str, Any]:
        """One clip's parameters as plain numbers, for people."""
        return {f.name: getattr(self, f.name)[index].tolist() for f in fields(self)}


P = TypeVar("P", bound=Params)


class Op(BaseModel, ABC, Generic[P]):
    """An augmentation: its fields are its arguments as a recipe gives them, checked when it is built.

    Ops keep no state: what `apply` does depends on the clips and the parameters alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @abstractmethod
    def sample(self, batch: ClipBatch, random: Seeds | torch.Generator | None = None) -> P:
        """Draws parameters, one row a clip.

        Args:
            batch: the clips; ops look at their facts, seldom at their pixels.
            random: seeds, one a clip, or a torch generator (None: torch's global one).
        """

    @abstractmethod
    def apply(self, clips: Tensor, params: P) -> Tensor:
        """Applies each row of the parameters to all frames of its clip, and returns new clips.

        Args:
            clips: `(batch, time, channels, height, width)`, uint8 in 0..255 or floating in 0..1.
            params: as `sample` gave them.
        """
