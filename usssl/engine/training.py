"""The training loop: MONAI's `Trainer` around one step, with what is logged, saved and stopped added by handlers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from ignite.engine import Engine, EventEnum
from monai.engines import Trainer
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from usssl.engine.ranks import average_gradients, seed_step
from usssl.errors import UssslError
from usssl.methods.parts.gather import ranks
from usssl.recipe import OptimizerArguments, Recipe
from usssl.schedule import learning_rate

Forward = Callable[[Any, int], dict[str, Tensor]]

_SECONDS_BETWEEN_TICKS = 0.25


class Clock(EventEnum):
    """What follows the clock hears it between two steps, a few times a second, and costs the others nothing."""

    TICK = "tick"


@dataclass
class TrainingState:
    """What a checkpoint holds: enough to go on to the same weights, bit for bit on a CPU.

    Attributes:
        model: what is trained.
        optimizer: of its weights.
        step: steps done.
        kept: what handlers have to remember, by their names.
    """

    model: nn.Module
    optimizer: Optimizer
    step: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser state, step, random state, and what handlers remember."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rng": torch.get_rng_state(),
            "kept": self.kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a saved state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.kept = state["kept"]
        torch.set_rng_state(state["rng"])


def build_optimizer(arguments: OptimizerArguments, model: nn.Module) -> Optimizer:
    """The optimiser; no weight decay on biases and normalisation, which have one dimension."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": arguments.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if arguments.name == "sgd":
        return SGD(groups, lr=arguments.lr, momentum=arguments.momentum)
    return AdamW(groups, lr=arguments.lr)


def scaled_lr(optimizer: OptimizerArguments, batch_size: int) -> float:
    """The recipe's learning rate at a batch size: in proportion to `lr_batch` where the recipe names one.

    Args:
        optimizer: of the recipe.
        batch_size: clips a step, of all ranks together.
    """
    return optimizer.lr * batch_size / (optimizer.lr_batch or batch_size)


class QuietTrainer(Trainer):
    """MONAI's trainer, which passes over events that nobody hears.

    Ignite formats a line of debugging at each of four events a step. Were its method of another name one day, nothing
    but this saving would be lost.
    """

    def _fire_event(self, event_name: Any, *event_args: Any, **event_kwargs: Any) -> None:
        if self._event_handlers.get(event_name):
            super()._fire_event(event_name, *event_args, **event_kwargs)
        else:
            self.last_event_name = event_name


class Training:
    """One training: a model, its step, and the MONAI trainer that repeats it.

    Handlers are attached to `trainer`. What must see every step is called from `each_step` instead, for an event costs
    more; `losses` then holds the named losses as tensors, those of this rank where there are several. `Clock.TICK`
    fires between two steps, about four times a second, or as often as checkpoints are wanted.

    Args:
        model: what is trained.
        forward: `(batch, step) -> {"loss": ..., named parts}`.
        recipe: resolved: no `auto` left.
        loader: the batches from `state.step` on.
        steps_per_epoch: steps in an epoch.
        state: where training stands.
        after_step: called after each step with the share of the training that is done, 0 to 1; what follows the trained
            weights (momentum copies, queues) moves on then.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Forward,
        recipe: Recipe,
        loader: Iterable[Any],
        steps_per_epoch: int,
        state: TrainingState,
        after_step: Callable[[float], None] | None = None,
    ) -> None:
        self.model, self.forward, self.recipe, self.state = model, forward, recipe, state
        self.after_step = after_step
        self.steps_per_epoch = steps_per_epoch
        self.steps = steps_per_epoch * recipe.trainer.epochs
        self.device = torch.device(recipe.trainer.device)
        self.ranks = ranks()
        self.bf16 = recipe.trainer.precision == "bf16"
        self.base_lr = scaled_lr(recipe.optimizer, recipe.trainer.batch_size)
        self.between_ticks = min(_SECONDS_BETWEEN_TICKS, 60 * recipe.trainer.checkpoint_minutes)
        self.next_tick = math.inf
        self.losses: dict[str, Tensor] = {}
        self.each_step: list[Callable[[], None]] = []
        self.data = TimedLoader(loader)
        self.trainer = QuietTrainer(
            device=self.device,
            max_epochs=recipe.trainer.epochs,
            data_loader=self.data,
            epoch_length=steps_per_epoch,
            iteration_update=self._step,
            decollate=False,
            event_names=[Clock.TICK],
        )
        self.trainer.state.iteration = state.step
        self.trainer.state.epoch = state.step // steps_per_epoch
        self.trainer.logger.setLevel("WARNING")

    def run(self) -> None:
        """Trains to the end.

        Raises:
            UssslError: the loss is not a number any more.
        """
        if self.state.step < self.steps:
            self.model.train()  # and again by whatever measures the model between two steps
            self.next_tick = time.monotonic() + self.between_ticks
            self.trainer.run()

    def _step(self, engine: Engine, batch: Any) -> dict[str, Tensor]:
        if (now := time.monotonic()) >= self.next_tick:
            engine.fire_event(Clock.TICK)
            self.next_tick = now + self.between_ticks
        step = self.state.step
        lr = learning_rate(self.recipe.schedule, self.base_lr, step, self.steps_per_epoch, self.steps)
        for group in self.state.optimizer.param_groups:
            group["lr"] = lr
        if self.ranks > 1:
            seed_step(self.recipe.seed, step)
        if self.bf16:
            with torch.autocast(self.device.type, torch.bfloat16):
                losses = self.forward(batch, step)
        else:
            losses = self.forward(batch, step)
        self.state.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        loss = losses["loss"].item() if self.ranks == 1 else average_gradients(self.model, losses["loss"])
        if not math.isfinite(loss):
            raise UssslError(f"the loss is {loss} at step {step + 1}; lower optimizer.lr")
        self.state.optimizer.step()
        self.state.step = step + 1
        if self.after_step is not None:
            self.after_step(self.state.step / self.steps)
        self.losses = {name: value.detach() for name, value in losses.items()}
        for call in self.each_step:
            call()
        return self.losses

    @property
    def waited(self) -> float:
        """Seconds that the training has waited for data so far."""
        return self.data.waited


class TimedLoader:
    """Passes on the batches of a loader and adds up how long they took to come.

    Attributes:
        waited: seconds so far.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader, self.waited = loader, 0.0

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited += time.perf_counter() - asked
            yield batch
