"""What a frozen encoder knows: pooled features of plain clips, and linear probes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from usssl.data import Store
from usssl.models.encoders import Encoder
from usssl.models.normalise import normalise

RIDGE = 1e-2
"""Penalty of the probes for each sample, on features of unit deviation."""


@torch.no_grad()
def clip_features(
    encoder: Encoder, store: Store, clips: Sequence[tuple[int, np.ndarray]], *, batch_size: int = 64
) -> np.ndarray:
    """Features of clips as they are stored, averaged over space and time, float64 `(clips, dim)`.

    Args:
        encoder: put into evaluation mode, on whichever device it is.
        store: of frames at the size that the encoder trained on.
        clips: row of the store and frame numbers of each clip.
        batch_size: clips at a time.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    found = []
    for start in range(0, len(clips), batch_size):
        frames = np.stack([store.read(cine, indices) for cine, indices in clips[start : start + batch_size]])
        views = normalise(torch.from_numpy(frames).float()[:, :, None].to(device))
        found.append(encoder(views).mean(dim=1).cpu())
    return torch.cat(found).double().numpy()


def ridge(seen: np.ndarray, targets: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predictions of a ridge regression of standardised features.

    Args:
        seen: `(n, dim)` features that it is fitted on.
        targets: `(n, outputs)` or `(n,)`.
        new: `(m, dim)` features.

    Returns:
        `(m, outputs)` or `(m,)`.
    """
    mean, scale = seen.mean(axis=0), seen.std(axis=0) + 1e-8
    x, middle = (seen - mean) / scale, targets.mean(axis=0)
    gram = x.T @ x + RIDGE * len(x) * np.eye(x.shape[1])
    found: np.ndarray = (new - mean) / scale @ np.linalg.solve(gram, x.T @ (targets - middle)) + middle
    return found


def linear_accuracy(seen: np.ndarray, classes: np.ndarray, new: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of a linear classifier, one output a class, fitted by ridge regression.

    Args:
        seen: `(n, dim)` features that it is fitted on.
        classes: `(n,)` integers.
        new: `(m, dim)` features of cines that it did not see.
        truth: `(m,)` their classes.
    """
    names = np.unique(classes)
    scores = ridge(seen, (classes[:, None] == names).astype(np.float64), new)
    return float((names[scores.argmax(axis=1)] == truth).mean())


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The share of the variance of the truth that is predicted; below 0 where the mean would be better."""
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def knn_accuracy(seen: np.ndarray, classes: np.ndarray, new: np.ndarray, truth: np.ndarray, k: int = 10) -> float:
    """Accuracy of a vote of the k nearest by cosine, each weighed by its cosine; arguments as `linear_accuracy`."""
    a, b = (x - seen.mean(axis=0) for x in (seen, new))
    a, b = (x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12) for x in (a, b))
    cosine = b @ a.T
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    names = np.unique(classes)
    votes = np.stack(
        [
            np.where(classes[nearest] == name, np.take_along_axis(cosine, nearest, axis=1), 0.0).sum(axis=1)
            for name in names
        ],
        axis=1,
    )
    return float((names[votes.argmax(axis=1)] == truth).mean())
