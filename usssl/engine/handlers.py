"""What is added to a training from outside its loop: metrics, progress, checkpoints, validation."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from usssl import progress
from usssl.engine.ranks import mean_over_ranks
from usssl.engine.run import Run
from usssl.engine.training import Clock, Training
from usssl.methods.parts.gather import rank

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_POINTS = 1.0  # TensorBoard's file is slow to write, and its curves need no more


class MetricsLogger:
    """Writes a line to `metrics.jsonl` every few steps, and to TensorBoard once a second at most.

    A line holds step, epoch, the mean of each named loss since the last line, lr, clips_per_s, and data_wait: the share
    of the time that was spent waiting for data. Every few lines, and at the end, it also holds what `measures` find,
    which takes longer. What is not a finite number, such as the time between clips whose times are not known, is left
    out: JSON has no word for it.
    """

    def __init__(
        self, run: Run, training: Training, *, tensorboard: bool, every: int = 10, measure_every: int = 200
    ) -> None:
        self.run, self.training, self.every, self.measure_every = run, training, every, measure_every
        self.measures: list[Callable[[], dict[str, float]]] = []
        self.file: TextIO | None = None
        self.writer: Any = None
        self.drawn = -math.inf
        if tensorboard and rank() == 0:
            from tensorboard.compat.proto.summary_pb2 import Summary
            from torch.utils.tensorboard import SummaryWriter

            self.summary = Summary
            self.writer = SummaryWriter(str(run.path / "tensorboard"), purge_step=training.state.step + 1)
        self._reset()

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer."""
        self.training.each_step.append(self._count)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._close)

    def log(self, values: dict[str, float], *, draw: bool = True) -> None:
        """Writes one line of the finite values at the present step, and draws them in TensorBoard."""
        step = self.training.state.step
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        line = {"step": step, "epoch": round(step / self.training.steps_per_epoch, 3), **values}
        self.file = self.file or self.run.open_metrics()
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        if self.writer and draw:
            # All values are one event: `add_scalar` makes and queues one of each.
            summary = self.summary(value=[self.summary.Value(tag=name, simple_value=v) for name, v in values.items()])
            self.writer.file_writer.add_summary(summary, step)

    def _reset(self) -> None:
        self.outputs: list[dict[str, Tensor]] = []
        self.waited = self.training.waited
        self.since = time.perf_counter()

    def _count(self) -> None:
        self.outputs.append(self.training.losses)
        step, last = self.training.state.step, self.training.state.step == self.training.steps
        if step % self.every and not last:
            return
        seconds = time.perf_counter() - self.since
        means = {name: round(value, 6) for name, value in mean_over_ranks(means_of(self.outputs)).items()}
        clips = len(self.outputs) * self.training.recipe.trainer.batch_size
        lr = self.training.state.optimizer.param_groups[0]["lr"]
        measures = [] if step % self.measure_every and not last else self.measures
        found = {name: round(value, 6) for measure in measures for name, value in measure().items()}
        line = {
            **means,
            **found,
            "lr": lr,
            "clips_per_s": round(clips / seconds, 2),
            "data_wait": round((self.training.waited - self.waited) / seconds, 4),
        }
        now = time.monotonic()
        draw = last or now - self.drawn > _SECONDS_BETWEEN_POINTS
        self.drawn = now if draw else self.drawn
        self.log(line, draw=draw)
        self._reset()

    def _close(self, *_: Any) -> None:
        if self.writer:
            self.writer.close()
        if self.file:
            self.file.close()
            self.file = None


def means_of(outputs: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each named scalar over the steps at which it is finite; read from the device in one go.

    Args:
        outputs: of each step, not all of which need have every name.

    Returns:
        A value for every name that any step has: NaN where none is finite, so that all ranks have the same names.
    """
    values = torch.stack([value for output in outputs for value in output.values()]).tolist()
    named: dict[str, list[float]] = {}
    for name, value in zip((name for output in outputs for name in output), values, strict=True):
        named.setdefault(name, []).append(value)
    finite = {name: [value for value in found if math.isfinite(value)] for name, found in named.items()}
    return {name: statistics.fmean(found) if found else math.nan for name, found in finite.items()}


class Progress:
    """A bar with an ETA on a terminal; a plain line every ten seconds in a log."""

    def __init__(self, training: Training, description: str) -> None:
        self.training, self.description = training, description

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Clock.TICK, self._update)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self.bar: Any = None
        self.begun = self.last = time.monotonic()
        self.first = self.training.state.step
        if not progress.is_quiet() and sys.stderr.isatty():
            from tqdm import tqdm

            steps = self.training.steps
            self.bar = tqdm(desc=self.description, total=steps, initial=self.first, unit="step", dynamic_ncols=True)

    def _update(self, engine: Engine) -> None:
        now, step = time.monotonic(), self.training.state.step
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix({"loss": f"{self._loss():.3f}"}, refresh=False)
        elif now - self.last >= _SECONDS_BETWEEN_LINES and step > self.first:
            self.last = now
            left = (now - self.begun) / (step - self.first) * (self.training.steps - step)
            of = f"step {step} of {self.training.steps}, loss {self._loss():.3f}"
            progress.say(f"{self.description}: {of}, about {left:.0f} s left")

    def _loss(self) -> float:
        return float(self.training.losses.get("loss", math.nan))

    def _end(self, engine: Engine) -> None:
        if self.bar is not None:
            self._update(engine)
            self.bar.close()


class Checkpoints:
    """Saves the training state every few minutes and at the end of the run."""

    def __init__(self, run: Run, training: Training) -> None:
        self.run, self.training = run, training
        self.last = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer; attach it last, so that what it saves is logged."""
        engine.add_event_handler(Clock.TICK, self._maybe_save)
        engine.add_event_handler(Events.COMPLETED, self.save)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._on_exception)

    def save(self, *_: Any) -> None:
        """Saves now."""
        self.run.save_checkpoint(self.training.state.state_dict())
        self.last = time.monotonic()

    def _maybe_save(self, engine: Engine) -> None:
        if time.monotonic() - self.last > 60 * self.training.recipe.trainer.checkpoint_minutes:
            self.save()

    def _on_exception(self, engine: Engine, error: BaseException) -> None:
        raise error


class Validation:
    """Measures something on held-out cines every few epochs and at the end, and logs it."""

    def __init__(self, measure: Callable[[], dict[str, float]], logger: MetricsLogger, *, every_epochs: int) -> None:
        self.measure, self.logger, self.every = measure, logger, every_epochs

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def _validate(self, engine: Engine) -> None:
        if engine.state.epoch % self.every == 0 or engine.state.epoch == engine.state.max_epochs:
            self.logger.log({name: round(value, 6) for name, value in self.measure().items()})
            self.logger.training.model.train()
            self.logger._reset()


class KeepBest:
    """Measures the model after every epoch and remembers the weights that did best.

    Args:
        training: what is trained.
        measure: named measures on validation cines.
        metric: the measure that decides.
        higher_is_better: whether more of it is better.
        logger: to which the measures are written, as `val_…`.
    """

    def __init__(
        self,
        training: Training,
        measure: Callable[[], dict[str, float]],
        metric: str,
        *,
        higher_is_better: bool,
        logger: MetricsLogger,
    ) -> None:
        self.training, self.measure, self.logger = training, measure, logger
        self.metric, self.sign = metric, 1.0 if higher_is_better else -1.0

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer; attach it before `Checkpoints`, so that no epoch is saved unmeasured."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The best weights so far."""
        weights: dict[str, Tensor] = self.training.state.kept["best"]["weights"]
        return weights

    def _look(self, engine: Engine) -> None:
        if self.training.state.step % self.training.steps_per_epoch:
            return
        found = self.measure()
        self.logger.log({f"val_{name}": round(value, 6) for name, value in found.items()})
        self.training.model.train()
        self.logger._reset()
        best = self.training.state.kept.get("best")
        value = found[self.metric]
        if best is None or math.isnan(best[self.metric]) or self.sign * (value - best[self.metric]) > 0:
            weights = {name: tensor.detach().clone() for name, tensor in self.training.model.state_dict().items()}
            epoch = self.training.state.step // self.training.steps_per_epoch
            self.training.state.kept["best"] = {self.metric: value, "epoch": epoch, "weights": weights}
