"""How much a clip moves: frozen clips cannot be ordered, and no label should tell fast from slow."""

from __future__ import annotations

import numpy as np

_PAIRS = 512  # compared at a time


def clip_motion(frames: np.ndarray, windows: np.ndarray, every: int = 4) -> np.ndarray:
    """The least mean absolute difference between successive frames of each clip, in grey levels (0..255).

    Args:
        frames: the whole cine, `(frames, height, width[, 3])` uint8.
        windows: `(clips, count)` frame indices, `count` at least 2.
        every: one pixel in so many, in both directions, is compared.

    Returns:
        `(clips,)` float64. A clip is as still as its stillest pair, for two equal frames can stand in either order.
    """
    if windows.shape[1] < 2:
        raise ValueError("a clip of one frame has no motion; ask for at least 2 frames")
    small = frames[:, ::every, ::every].reshape(len(frames), -1)
    pairs = np.stack([windows[:, :-1], windows[:, 1:]], axis=-1).reshape(-1, 2)
    unique, which = np.unique(pairs, axis=0, return_inverse=True)
    moved = np.empty(len(unique))
    for start in range(0, len(unique), _PAIRS):
        a, b = unique[start : start + _PAIRS].T
        moved[start : start + _PAIRS] = np.abs(small[a].astype(np.int16) - small[b]).mean(axis=1)
    return moved[which.reshape(-1)].reshape(len(windows), windows.shape[1] - 1).min(axis=1, initial=np.inf)
