"""The learning rate is a pure function of the step: warm-up, then a constant, a cosine or steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from usssl.recipe import read_recipe
from usssl.schedule import ScheduleArguments, learning_rate

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleArguments(name="constant", warmup_epochs=2), {0: 0.2, 1: 0.4, 3: 0.8, 4: 0.8, 19: 0.8}),
        # Half way through the 16 steps after warm-up a cosine is at one half, after a quarter at (1 + 0.5 ** 0.5) / 2.
        (ScheduleArguments(name="cosine", warmup_epochs=2), {3: 0.8, 4: 0.8, 8: 0.68284, 12: 0.4, 16: 0.11716}),
        (
            ScheduleArguments(name="steps", warmup_epochs=2, milestones=(3, 7.5), factor=0.5),
            {0: 0.2, 3: 0.8, 5: 0.8, 6: 0.4, 14: 0.4, 15: 0.2, 19: 0.2},
        ),
        (ScheduleArguments(name="steps", warmup_epochs=2, milestones=(2,)), {3: 0.8, 4: 0.08}),
    ],
    ids=["constant", "cosine", "steps", "step after warm-up"],
)
def test_the_rate_of_a_step(schedule: ScheduleArguments, expected: dict[int, float]) -> None:
    """Ten epochs of two steps, at a rate of 0.8."""
    found = {step: learning_rate(schedule, 0.8, step, 2, 20) for step in expected}
    assert found == pytest.approx(expected, abs=1e-5)


def test_vtdl_steps_down_as_its_page_says() -> None:
    """methods/vtdl, section 6: 0.003, a tenth of it after each of 120, 160 and 200 epochs of 240."""
    schedule = read_recipe(RECIPES / "paper" / "vtdl.yaml").schedule
    epochs = {0: 3e-3, 119: 3e-3, 120: 3e-4, 159: 3e-4, 160: 3e-5, 199: 3e-5, 200: 3e-6, 239: 3e-6}
    first = {epoch: learning_rate(schedule, 3e-3, 223 * epoch, 223, 223 * 240) for epoch in epochs}
    last = {epoch: learning_rate(schedule, 3e-3, 223 * epoch + 222, 223, 223 * 240) for epoch in epochs}
    assert first == pytest.approx(epochs)
    assert last == pytest.approx(epochs)
