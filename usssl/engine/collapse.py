"""Collapse, noticed while it happens: all clips looking alike to the encoder or a head, though the loss may fall."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.nn import functional

from usssl import progress
from usssl.engine.run import Run
from usssl.methods import Method
from usssl.methods.functional import effective_rank, same_group_neighbours
from usssl.methods.parts.gather import gather, ranks

_CLIPS = 256  # the newest that are measured together
_LEAST = 8  # clips below which nothing can be said
_TIMES = 3  # measures in a row that must show collapse before it is said; at the end of a run the last one is enough
MIN_STD, MIN_RANK = 0.02, 1.5
MIN_EMBEDDING_STD = 0.04  # the mean cosine of two clips is then 0.9984


class CollapseMonitor:
    """Measures how the features of the newest clips spread, whatever the method; its `measure` goes to the log.

    `feature_std`: about 1 where features point everywhere, 0 where all are alike. `effective_rank`: how many dimensions
    they use. `embedding_std` and `embedding_rank`: the same of what the loss compares, where the method shows it.
    `same_cine_knn`: how often a clip's nearest other clip is of the same cine, an online nearest-neighbour
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
        if sum(len(shown.features) for shown in watched) * ranks() < _LEAST:
            return {}
        found = {}
        found["feature_std"], found["effective_rank"] = _spread([shown.features for shown in watched])
        flat = _flat("features", "encoder", found["feature_std"], MIN_STD, found["effective_rank"])
        embeddings = [shown.embedding for shown in watched if shown.embedding is not None]
        if embeddings:
            found["embedding_std"], found["embedding_rank"] = _spread(embeddings)
            flat = flat or _flat(
                "embeddings", "head", found["embedding_std"], MIN_EMBEDDING_STD, found["embedding_rank"]
            )
        self._warn(flat)
        features, cines = (gather(torch.cat([getattr(shown, of) for shown in watched])) for of in ("features", "cines"))
        found["same_cine_knn"] = float(same_group_neighbours(features, cines))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _warn(self, flat: str) -> None:
        self.collapsed = self.collapsed + 1 if flat else 0
        self.message = flat
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


def _spread(steps: Sequence[Tensor]) -> tuple[float, float]:
    """Deviation and effective rank of normalised vectors `(batch, dim)` about the mean of their step.

    Between steps the weights move, and with them vectors that are all alike: that is no spread. Of steps of several
    sizes those as large as the last are taken.
    """
    together = torch.stack([vectors for vectors in steps if vectors.shape == steps[-1].shape], dim=1)
    units = functional.normalize(gather(together).float(), dim=2)
    mean = units.mean(dim=0) * (len(units) > 1)
    moved = (units - mean).flatten(0, 1)
    std = torch.linalg.vector_norm(moved) / len(moved) ** 0.5
    # About a mean of unit length, against which the rank tells equal vectors from rounding.
    return float(std), float(effective_rank(moved + functional.normalize(units[:, -1].mean(dim=0), dim=0)))


def _flat(what: str, part: str, std: float, least: float, rank: float) -> str:
    """The warning, where the spread is next to nothing; nothing where it is not."""
    if std >= least and rank >= MIN_RANK:
        return ""
    return (
        f"warning: the {what} have collapsed: all clips look nearly alike to the {part} (deviation {std:.3f} where 1 "
        f"is spread out, {rank:.1f} dimensions in use); start again with a lower optimizer.lr, a larger "
        "trainer.batch_size or more varied cines"
    )
