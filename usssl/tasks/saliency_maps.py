"""Saliency prediction: a probability map over each frame, trained on gaze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from usssl.augment.geometry import inverse, transform
from usssl.data import Store
from usssl.errors import UsageError
from usssl.models.encoders import Encoder
from usssl.tasks.base import Evaluation, FrameKey, Task, TaskArguments, TaskHead
from usssl.tasks.predictor import Predictor
from usssl.tasks.saliency_gaze import gaze_map
from usssl.tasks.saliency_metrics import auc_judd, score

_LEAST_POINTS = 1


class SaliencyArguments(TaskArguments):
    """Arguments of `saliency`.

    Attributes:
        sigma: of the Gaussian around each gaze point, as a share of the input's width; about one degree of vision.
        window_s: gaze within this time of a frame, seconds either way, counts for it.
        hidden: channels of the head.
        stride: every how many frames a cine is measured.
    """

    name: Literal["saliency"] = "saliency"
    sigma: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    window_s: Annotated[float, Field(ge=0)] = 0.1
    hidden: Annotated[int, Field(gt=0)] = 64
    stride: Annotated[int, Field(gt=0)] = 4


class SaliencyHead(TaskHead):
    """A 7x7 depthwise convolution, 1x1 convolutions to one channel, softmax over the grid; gives `saliency`."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            nn.Conv2d(dim, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """`saliency (batch, time, h, w)`, each map summing to 1."""
        maps = self.layers(features.flatten(0, 1))[:, 0]
        probabilities = maps.flatten(1).softmax(dim=1).unflatten(1, maps.shape[1:])
        return {"saliency": probabilities.unflatten(0, features.shape[:2])}


class Saliency(Task):
    """Maps of gaze on the grid of an encoder with output stride 8."""

    Arguments: ClassVar[type[TaskArguments]] = SaliencyArguments
    output_stride: ClassVar[int] = 8
    metric: ClassVar[str] = "kld"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, arguments: SaliencyArguments, store: Store, size: tuple[int, int]) -> None:
        super().__init__(arguments, store, size)
        self.sigma, self.hidden, self.stride = arguments.sigma, arguments.hidden, arguments.stride
        self.grid = (size[0] // self.output_stride, size[1] // self.output_stride)
        self.points: dict[int, list[np.ndarray]] = {}
        for cine in range(len(store)):
            gaze = store.fixations(cine)
            if len(gaze):
                self.points[cine] = _points_by_frame(gaze.time_s, gaze.window_xy, store.times(cine), arguments.window_s)
        if not self.points:
            raise UsageError(
                f"none of the cines of {store.path} has gaze; put a gaze.csv (file, frame, time_s, x, y) beside them"
            )

    def labelled(self, cine: int) -> bool:
        """Whether the cine has gaze."""
        return cine in self.points

    def kinds(self, cine: int) -> set[str]:
        """Gaze is of one kind."""
        return {"gaze"}

    def draw(self, cines: Sequence[int], count: int, rng: np.random.Generator) -> list[FrameKey]:
        """Frames with gaze, all cines equally often."""
        keys: list[FrameKey] = []
        for _ in range(count):
            cine = int(rng.choice(np.asarray(cines)))
            keys.append((cine, int(rng.choice(self._fixated(cine)))))
        return keys

    def head(self, encoder: Encoder) -> TaskHead:
        """A fresh saliency head."""
        return SaliencyHead(encoder.dim, self.hidden)

    def targets(self, keys: Sequence[FrameKey], matrices: Tensor) -> Tensor:
        """Gaze maps on the grid, `(rows, h, w)`, each summing to 1: the gaze points move with the view."""
        to_view = inverse(matrices)
        height, width = self.store.size
        maps = []
        for (cine, frame), matrix in zip(keys, to_view, strict=True):
            pixels = torch.from_numpy(self.points[cine][frame] * [width, height])
            moved = transform(matrix[None], pixels[None])[0].numpy() / [self.size[1], self.size[0]]
            maps.append(self._map(moved))
        return torch.from_numpy(np.stack(maps)).float()

    def _map(self, xy: np.ndarray) -> np.ndarray:
        """The gaze map of points `(n, 2)` in 0..1 of the view; uniform where the view lost them all."""
        height, width = self.grid
        inside = xy[((xy > -0.1) & (xy < 1.1)).all(axis=1)]
        if not len(inside):
            return np.full(self.grid, 1 / (height * width))
        return gaze_map(inside[:, ::-1] * [height, width], self.grid, self.sigma * width)

    def loss(self, outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the prediction from the gaze map, mean over frames."""
        prediction = outputs["saliency"][:, 0].float().clamp_min(1e-8)
        return (targets * (targets.clamp_min(1e-8).log() - prediction.log())).sum(dim=(1, 2)).mean()

    def evaluate(self, predict: Predictor, cines: Sequence[int]) -> Evaluation:
        """KLD, NSS, CC, SIM and AUC-Judd on the grid: mean over frames, then over cines."""
        per_cine: dict[str, dict[str, float]] = {}
        for cine in cines:
            frames = self._fixated(cine)[:: self.stride]
            maps = predict(cine, frames.tolist())["saliency"]
            rows = [self._measure(cine, int(frame), found) for frame, found in zip(frames, maps, strict=True)]
            rows = [row for row in rows if row]
            if rows:
                name = self.store.table["id"][cine].as_py()
                per_cine[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        names = next(iter(per_cine.values()))
        metrics = {name: float(np.mean([scores[name] for scores in per_cine.values()])) for name in names}
        return Evaluation(metrics, per_cine, {"grid": list(self.grid)})

    def _measure(self, cine: int, frame: int, found: np.ndarray) -> dict[str, float]:
        xy = self.points[cine][frame]
        inside = xy[((xy >= 0) & (xy < 1)).all(axis=1)]
        if not len(inside):
            return {}
        fixations = (inside[:, ::-1] * self.grid).astype(int)
        scores = score(found, self._map(inside), fixations)
        return {
            "kld": scores.kld,
            "nss": scores.nss,
            "cc": scores.cc,
            "sim": scores.sim,
            "auc_judd": auc_judd(found, fixations),
        }

    def _fixated(self, cine: int) -> np.ndarray:
        return np.array([frame for frame, xy in enumerate(self.points[cine]) if len(xy) >= _LEAST_POINTS])


def _points_by_frame(seconds: np.ndarray, xy: np.ndarray, times: np.ndarray, window_s: float) -> list[np.ndarray]:
    """The gaze points `(n, 2)` near each frame in time."""
    order = np.argsort(seconds, kind="stable")
    seconds, xy = seconds[order], xy[order].astype(np.float64)
    first = np.searchsorted(seconds, times - window_s, side="left")
    last = np.searchsorted(seconds, times + window_s, side="right")
    return [xy[a:b] for a, b in zip(first, last, strict=True)]
