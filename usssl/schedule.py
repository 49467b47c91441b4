"""The learning rate over time."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from usssl.arguments import Arguments, NonNegative


class ScheduleArguments(Arguments):
    """The learning rate over time: linear warm-up, then constant, a cosine to zero, or steps down.

    Attributes:
        name: `steps`: multiplied by `factor` after each of the `milestones`.
        warmup_epochs: epochs in which the rate rises from 0.
        milestones: of `steps` alone: epochs from the start of the run, after warm-up and each later than the last.
        factor: of `steps`: what the rate is multiplied by.
    """

    name: Literal["cosine", "constant", "steps"] = "cosine"
    warmup_epochs: NonNegative = 1
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = ()
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1

    @field_validator("milestones")
    @classmethod
    def _increasing(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ValueError("each milestone should be later than the one before it")
        return milestones

    @model_validator(mode="after")
    def _only_with_steps(self) -> Self:
        if (self.name == "steps") != bool(self.milestones):
            raise ValueError(
                "`name: steps` and `milestones` go together; give both, such as name: steps, milestones: [120, 160], "
                "or neither, milestones: []"
            )
        if self.milestones and self.milestones[0] < self.warmup_epochs:
            raise ValueError("the first of `milestones` should not lie within `warmup_epochs`")
        return self


def learning_rate(schedule: ScheduleArguments, lr: float, step: int, steps_per_epoch: int, steps: int) -> float:
    """The learning rate of a step: linear warm-up, then the schedule; a pure function of the step.

    Args:
        schedule: of the recipe.
        lr: the rate after warm-up.
        step: from 0.
        steps_per_epoch: steps in an epoch.
        steps: of the whole run.
    """
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return lr * (step + 1) / warmup
    if schedule.name == "constant":
        return lr
    if schedule.name == "steps":
        return lr * schedule.factor ** sum(step >= epoch * steps_per_epoch for epoch in schedule.milestones)
    return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
