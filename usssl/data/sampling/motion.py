"""How much a clip moves: frozen clips cannot be ordered, and no label should tell fast from slow."""

from __future__ import annotations

import cv2
import numpy as np


def clip_motion(frames: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The least mean absolute difference between successive frames of each clip, in grey levels (0..255).

    Args:
        frames: the whole cine, `(frames, height, width)` uint8.
        windows: `(clips, count)` frame indices, `count` at least 2.

    Returns:
        `(clips,)` float64. A clip is as still as its stillest pair, for two equal frames can stand in either order.
    """
    if windows.shape[1] < 2:
        raise ValueError("a clip of one frame has no motion; ask for at least 2 frames")
    pairs = np.stack([windows[:, :-1], windows[:, 1:]], axis=-1).reshape(-1, 2)
    unique, which = np.unique(pairs, axis=0, return_inverse=True)
    pixels = frames[0].size
    moved = np.array([cv2.norm(frames[a], frames[b], cv2.NORM_L1) / pixels for a, b in unique], dtype=np.float64)
    return moved[which.reshape(-1)].reshape(len(windows), windows.shape[1] - 1).min(axis=1, initial=np.inf)
