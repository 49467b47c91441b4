"""Standard plane detection: which plane, if any, each frame shows (protocol of Droste et al., IPMI 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from usssl.arguments import Fraction
from usssl.data import Store
from usssl.models.encoders import Encoder
from usssl.tasks.base import Evaluation, FrameKey, Task, TaskArguments, TaskHead
from usssl.tasks.classification import accuracy, class_scores, confusion_matrix
from usssl.tasks.predictor import Predictor

BACKGROUND = "background"
UNLABELLED = ""


class PlanesArguments(TaskArguments):
    """Arguments of `planes`.

    Attributes:
        dropout: before the classifier.
        stride: every how many frames a cine is measured.
    """

    name: Literal["planes"] = "planes"
    dropout: Fraction = 0.2
    stride: int = 2


class PlaneHead(TaskHead):
    """Global average pooling, batch normalisation and one linear layer; gives `plane_probs` and `embedding`.

    The normalisation (SonoNet's head has one too) lets encoders whose features differ in scale learn equally fast.
    """

    def __init__(self, dim: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """`plane_probs (batch, time, classes)` and `embedding (batch, time, dim)`."""
        pooled = features.mean(dim=(-2, -1))
        normed = self.norm(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])
        return {"plane_probs": self.classifier(self.dropout(normed)).softmax(dim=-1), "embedding": pooled}


class Planes(Task):
    """Classes are all planes of the store's labels, in alphabetical order, background last."""

    Arguments: ClassVar[type[TaskArguments]] = PlanesArguments
    metric: ClassVar[str] = "macro_f1"

    def __init__(self, arguments: PlanesArguments, store: Store, size: tuple[int, int]) -> None:
        super().__init__(arguments, store, size)
        self.dropout, self.stride = arguments.dropout, arguments.stride
        self.labels: dict[int, np.ndarray] = {}
        for cine in range(len(store)):
            found = store.frame_labels(cine, "plane")
            if any(found):
                self.labels[cine] = np.array([name or UNLABELLED for name in found])
        names = sorted({str(name) for labels in self.labels.values() for name in labels} - {BACKGROUND, UNLABELLED})
        self.classes = [*names, BACKGROUND]

    def labelled(self, cine: int) -> bool:
        """Whether the cine has plane labels."""
        return cine in self.labels

    def kinds(self, cine: int) -> set[str]:
        """The planes that a cine shows."""
        return {str(name) for name in self.labels[cine]} - {UNLABELLED}

    def draw(self, cines: Sequence[int], count: int, rng: np.random.Generator) -> list[FrameKey]:
        """Half background, half planes, each plane equally often."""
        keys: list[FrameKey] = []
        found = {name: [c for c in cines if name in self.kinds(c)] for name in self.classes}
        planes = [name for name in self.classes[:-1] if found[name]]
        for number in range(count):
            plane = BACKGROUND if number % 2 and found[BACKGROUND] else str(rng.choice(planes))
            cine = int(rng.choice(found[plane]))
            keys.append((cine, int(rng.choice(np.flatnonzero(self.labels[cine] == plane)))))
        return keys

    def head(self, encoder: Encoder) -> TaskHead:
        """A linear classifier on pooled features."""
        return PlaneHead(encoder.dim, len(self.classes), self.dropout)

    def targets(self, keys: Sequence[FrameKey], matrices: Tensor) -> Tensor:
        """The class of each frame, int64 `(rows,)`; geometry leaves it as it is."""
        return torch.tensor([self.classes.index(str(self.labels[cine][frame])) for cine, frame in keys])

    def loss(self, outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.nll_loss(outputs["plane_probs"][:, 0].clamp_min(1e-7).log(), targets)

    def evaluate(self, predict: Predictor, cines: Sequence[int]) -> Evaluation:
        """Macro precision, recall, F1 and accuracy over the frames of all cines; the confusion matrix."""
        truth, found, per_cine = [], [], {}
        for cine in cines:
            frames = [f for f in range(0, len(self.labels[cine]), self.stride) if self.labels[cine][f] != UNLABELLED]
            predicted = predict(cine, frames)["plane_probs"].argmax(axis=1)
            labels = np.array([self.classes.index(str(self.labels[cine][f])) for f in frames])
            truth.append(labels)
            found.append(predicted)
            per_cine[self.store.table["id"][cine].as_py()] = {"accuracy": float((labels == predicted).mean())}
        matrix = confusion_matrix(np.concatenate(truth), np.concatenate(found), len(self.classes))
        scores = class_scores(matrix)
        metrics = {
            "macro_f1": scores.macro_f1,
            "macro_precision": scores.macro_precision,
            "macro_recall": scores.macro_recall,
            "accuracy": accuracy(matrix),
        }
        details = {"confusion": matrix.tolist(), "classes": list(self.classes), "f1": scores.f1.tolist()}
        return Evaluation(metrics, per_cine, details)
