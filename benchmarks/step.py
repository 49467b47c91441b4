"""What a trainer adds to a step of training: usssl's over MONAI's `SupervisedTrainer`, beyond the bare loop of a model.

One tiny model, so that the trainers show (what a step of a larger one takes varies by more than a trainer adds): a step
of the bare loop is forward, backward and optimiser. On top, ours runs the trainer of `usssl pretrain` with all that it
attaches there and that runs at every step or every few: the learning rate, the check of the loss, metrics with
TensorBoard, progress, the collapse monitor, checkpoints (their files are written every two minutes, and not here).
MONAI's is as its defaults make it: it splits every batch and output into a list of samples (`decollate`) and has no
handler at all; without that splitting it is timed beside them, without a goal. Counted is processor time, that of
TensorBoard's thread and of closing files included, over 1,000 steps. Of the turns of a process the quickest of each
side counts, as what else the machine does only ever adds; and of several processes the median, as the same code may be
quicker in one than in the next.
"""

from __future__ import annotations

import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import print_machine
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from usssl import progress
from usssl.arguments import ClipArguments
from usssl.engine.collapse import CollapseMonitor
from usssl.engine.handlers import Checkpoints, MetricsLogger, Progress
from usssl.engine.run import Run
from usssl.engine.training import Training, TrainingState, build_optimizer
from usssl.methods import Method
from usssl.models.encoders import Encoder
from usssl.recipe import read_recipe

BATCH, DRAWN, STEPS, ROUNDS, PROCESSES, GOAL = 16, 500, 1000, 7, 5, 0.3
CLIP = (4, 1, 32, 32)
Batch = dict[str, Tensor]


class TinyEncoder(Encoder):
    """Two layers of 64 numbers, as many as the features of a small encoder, on every fourth pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.stride = 64, 1
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 64), nn.ReLU(), nn.Linear(64, self.dim))

    def forward(self, clips: Tensor) -> Tensor:
        return self.body(clips[..., ::4, ::4])


class TinyMethod(Method):
    """A classifier, so that MONAI's supervised trainer can train it too."""

    def __init__(self) -> None:
        super().__init__(TinyEncoder(), ClipArguments(frames=4, size=(32, 32)))
        self.head = nn.Linear(64, 4)

    def forward(self, clips: Tensor) -> Tensor:
        features = self.encoder(clips)
        found: Tensor = self.head(features)
        self.watch(features, torch.arange(len(clips)), found)
        return found


def batches(count: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.randn(BATCH, *CLIP, generator=generator),
            "label": torch.randint(0, 4, (BATCH,), generator=generator),
        }
        for _ in range(count)
    ]


def fresh() -> tuple[TinyMethod, torch.optim.Optimizer]:
    torch.manual_seed(0)
    method = TinyMethod()
    return method, build_optimizer(RECIPE.optimizer, method)


RECIPE = read_recipe(
    {
        "data": {"source": "none"},
        "method": {"name": "order_transform"},
        "optimizer": {"lr": 0.001},
        "schedule": {"name": "constant", "warmup_epochs": 0},
        "trainer": {
            "epochs": 1, "clips_per_epoch": STEPS * BATCH, "batch_size": BATCH, "precision": "fp32", "device": "cpu"
        },
    }
)  # fmt: skip
LOSS = nn.CrossEntropyLoss()


def bare(data: list[Batch]) -> tuple[Callable[[], None], nn.Module]:
    method, optimizer = fresh()
    method.train()

    def run() -> None:
        for batch in data:
            loss = LOSS(method(batch["image"]), batch["label"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return run, method


def ours(data: list[Batch], folder: Path) -> tuple[Callable[[], None], nn.Module]:
    run = Run.create(folder, RECIPE, resume=False)
    method, optimizer = fresh()
    state = TrainingState(method, optimizer)
    training = Training(
        method,
        lambda batch, step: {"loss": LOSS(method(batch["image"]), batch["label"])},
        RECIPE,
        data,
        STEPS,
        state,
        method.after_step,
    )
    monitor = CollapseMonitor(run, method, BATCH)
    logger = MetricsLogger(run, training, tensorboard=RECIPE.tracking.tensorboard)
    logger.measures.append(monitor.measure)
    logger.attach(training.trainer)
    monitor.attach(training.trainer)
    Progress(training, "Step").attach(training.trainer)
    checkpoints = Checkpoints(run, training)
    checkpoints.save = lambda *_: None  # the file at the end of a run is no part of a step
    checkpoints.attach(training.trainer)
    return training.run, method


def monai(data: list[Batch], decollate: bool) -> tuple[Callable[[], None], nn.Module]:
    method, optimizer = fresh()
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=data,
        network=method,
        optimizer=optimizer,
        loss_function=LOSS,
        epoch_length=STEPS,
        decollate=decollate,
        optim_set_to_none=True,
    )
    trainer.logger.setLevel("WARNING")
    return trainer.run, method


def measure() -> dict[str, float]:
    """Microseconds a step of the bare loop, and of each side beyond it."""
    torch.set_num_threads(1)
    progress.set_quiet(True)
    data = batches(DRAWN) * (STEPS // DRAWN)
    least: dict[str, float] = {}
    weights: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as name:
        for number in range(-1, ROUNDS):  # the first round warms up
            sides = {
                "bare": lambda: bare(data),
                "usssl": lambda n=number: ours(data, Path(name) / f"run{n}"),
                "MONAI": lambda: monai(data, True),
                "MONAI without decollate": lambda: monai(data, False),
            }
            for side, make in sides.items():
                run, method = make()
                started = time.process_time()
                run()
                seconds = time.process_time() - started
                weights[side] = method.head.weight.detach()
                if number >= 0:
                    least[side] = min(1e6 * seconds / STEPS, least.get(side, math.inf))
    for side, found in weights.items():
        torch.testing.assert_close(found, weights["bare"], msg=f"{side} trains otherwise than the bare loop")
    return {side: value if side == "bare" else value - least["bare"] for side, value in least.items()}


def main() -> int:
    print_machine(["torch", "monai", "pytorch-ignite"])
    spawn = multiprocessing.get_context("spawn")
    ratios = []
    for _ in range(PROCESSES):
        with spawn.Pool(1) as pool:
            found = pool.apply(measure)
        ratios.append(found["usssl"] / found["MONAI"])
        beyond = ", ".join(f"{side} {value:.0f} us" for side, value in found.items() if side != "bare")
        print(f"bare step: {found['bare']:.0f} us; beyond it: {beyond}; usssl over MONAI {ratios[-1]:.2f}", flush=True)
    ratio = statistics.median(ratios)
    print(f"RATIO step_overhead {ratio:.2f} goal <={GOAL:g}", flush=True)
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
