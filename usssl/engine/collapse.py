"""Collapse, noticed while it happens: all clips looking alike to the encoder, though the loss may fall."""

from __future__ import annotations

import math
from collections import deque

import torch
from ignite.engine import Engine, Events

from usssl import progress
from usssl.engine.run import Run
from usssl.methods import Method
from usssl.methods.functional import effective_rank, feature_std, same_group_neighbours
from usssl.methods.parts.gather import gather, ranks

_CLIPS = 256  # the newest that are measured together
_LEAST = 8  # clips below which nothing can be said
_TIMES = 3  # measures in a row that must show collapse before it is said; at the end of a run the last one is enough
MIN_STD, MIN_RANK = 0.02, 1.5


class CollapseMonitor:
    """Measures how the features of the newest clips spread, whatever the method; its `measure` goes to the log.

    `feature_std`: about 1 where features point everywhere, 0 where all are alike. `effective_rank`: how many dimensions
    they use. `same_cine_knn`: how often a clip's nearest other clip is of the same cine, an online nearest-neighbour
    classification that needs no labels.

    Args:
        run: to whose log a warning goes.
        method: that is trained; from now on it keeps the features of as many steps as are measured together.
        batch_size: clips a step, of all ranks together.
    """

    def __init__(self, run: Run, method: Method, batch_size: int) -> None:
        self.run, self.method = run, method
        self.collapsed = 0
        self.said = False
        self.message = ""
        method.watched = deque(method.watched, maxlen=-(-_CLIPS // batch_size))

    def attach(self, engine: Engine) -> None:
        """Adds the handler to the trainer; attach it after the logger, whose last line is of the last step."""
        engine.add_event_handler(Events.COMPLETED, self._end)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The measures of the newest clips; says so in words where they have collapsed."""
        watched = self.method.watched
        if sum(len(features) for features, _ in watched) * ranks() < _LEAST:
            return {}
        features, cines = (gather(torch.cat(parts)) for parts in zip(*watched, strict=True))
        found = {
            "feature_std": float(feature_std(features)),
            "effective_rank": float(effective_rank(features)),
            "same_cine_knn": float(same_group_neighbours(features, cines)),
        }
        self._warn(found["feature_std"], found["effective_rank"], features.shape[1])
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _warn(self, std: float, rank: float, dim: int) -> None:
        flat = std < MIN_STD or rank < MIN_RANK
        self.collapsed = self.collapsed + 1 if flat else 0
        self.message = (
            "warning: the features have collapsed: all clips look nearly alike to the encoder (deviation "
            f"{std:.3f} where 1 is spread out, {rank:.1f} of {dim} dimensions in use); start again with a lower "
            "optimizer.lr, a larger trainer.batch_size or more varied cines"
        )
        if self.collapsed >= _TIMES:
            self._say()

    def _end(self, engine: Engine) -> None:
        # No later measure could take it back, and a short run has no three of them.
        if self.collapsed:
            self._say()

    def _say(self) -> None:
        if not self.said:
            self.said = True
            progress.say(self.message)
            self.run.log(self.message)
