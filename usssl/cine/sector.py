"""Where in a frame the ultrasound image lies, and the window that a model sees of it.

A frame often shows a scanner's whole screen: header text, depth ticks, a logo, a grey bar. The box of the image is
found by one law that is written twice, here in numpy and in `usssl.models.preprocess` in tensor operations for the
exported graph; both count in whole numbers, so that they agree to the pixel:

1. The temporal mean is looked at in 4 × 4 points of each of 64 × 64 cells, whatever the size of the frame. A point is
   lit above grey 3.
2. A cell is strong when 12 of its 16 points are lit (tissue; letters have too much black between strokes), weak from 7.
3. Cells whose 5 × 5 neighbourhood is mostly strong are the body; of the body, what a 5 × 5 square fits into is the
   core. Lines of text, rulers and bars up to 6 % of the frame are thinner than that and go.
4. The core grows back by three cells, over body and weak cells.
5. Rows, then columns, then again: a run of lit rows counts when it holds at least a sixteenth of the largest run's
   cells (a fluid may split the image), a run of columns at least a quarter (a grey bar beside the image does not
   count). First to last is the box.
6. Nothing found, or less than 6 % of the frame: the box is the whole frame.

The constants were chosen on the real cines that the tests read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CELLS = 64
POINTS = 4
LIT_ABOVE = 3
STRONG_POINTS = 12
WEAK_POINTS = 7
NEIGHBOURHOOD = 5
GROWTH = 3
ROW_RUN_SHARE = 16
COLUMN_RUN_SHARE = 4
LEAST_CELLS = 245

Frames = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Box(NamedTuple):
    """A rectangle of whole pixels, half open: columns `x0 … x1 - 1`, rows `y0 … y1 - 1`."""

    x0: int
    y0: int
    x1: int
    y1: int


class Window(NamedTuple):
    """A rectangle in pixels of the original frame, edges at whole numbers; it may reach past the frame."""

    x0: float
    y0: float
    x1: float
    y1: float


def content_box(frames: Frames) -> Box:
    """Finds the box of the ultrasound image.

    Args:
        frames: uint8 grey `(time, height, width)`, at least one frame and one pixel.

    Returns:
        The box; the whole frame where no image is found, and nearly the whole frame for an image already cropped.

    Raises:
        ValueError: the frames are not three-dimensional or are empty.
    """
    if frames.ndim != 3 or 0 in frames.shape:
        raise ValueError(
            f"content_box takes grey frames (time, height, width) with content, not the shape {frames.shape}"
        )
    height, width = frames.shape[1:]
    found = _body(_lit_points(frames))
    (x0, x1), (y0, y1) = (0, CELLS), (0, CELLS)
    for _ in range(2):
        y0, y1 = _extent(found[:, x0:x1].sum(axis=1), ROW_RUN_SHARE)
        x0, x1 = _extent(found[y0:y1].sum(axis=0), COLUMN_RUN_SHARE)
    box = Box(_edge(x0, width), _edge(y0, height), _edge(x1, width), _edge(y1, height))
    if max(y1 - y0, 0) * max(x1 - x0, 0) < LEAST_CELLS or box.x0 >= box.x1 or box.y0 >= box.y1:
        return Box(0, 0, width, height)
    return box


def crop_window(box: Box | Window, size: tuple[int, int]) -> Window:
    """The smallest rectangle with the aspect of `size` that contains the box and has its centre.

    Args:
        box: pixels of the original frame.
        size: the model's input, (height, width) in pixels.

    Returns:
        The window; it may reach past the frame, where everything is black.
    """
    height, width = size
    scale = max((box.x1 - box.x0) / width, (box.y1 - box.y0) / height)
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    half_width, half_height = scale * width / 2, scale * height / 2
    return Window(x - half_width, y - half_height, x + half_width, y + half_height)


def resample_weights(start: float, stop: float, out: int, length: int) -> npt.NDArray[np.float32]:
    """The weights `(out, length)` that resample the interval `start … stop` of an axis of `length` pixels to `out`.

    Output pixel i stands for the interval's i-th part, of `scale = (stop - start) / out` source pixels. It weighs the
    source pixels by a triangle around the part's centre whose half width is `scale`, at least 1 (linear
    interpolation). The weights of a row sum to how much of the part lies within the frame: 1 inside, 0 outside, where
    the picture is black.
    """
    scale = (stop - start) / out
    part = start + np.arange(out, dtype=np.float64)[:, None] * scale
    centre = part + 0.5 * scale
    source = np.arange(length, dtype=np.float64)[None, :] + 0.5
    triangle = np.maximum(0.0, 1.0 - np.abs(source - centre) / max(scale, 1.0))
    covered = np.clip((np.minimum(part + scale, length) - np.maximum(part, 0.0)) / scale, 0.0, 1.0)
    total = np.maximum(triangle.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(triangle / total * covered, dtype=np.float32)


def resample(frames: Frames, window: Box | Window, size: tuple[int, int]) -> Frames:
    """Resamples a window of every frame to `size`, antialiased; black outside the frame.

    Args:
        frames: uint8 `(time, height, width)` or `(time, height, width, 3)`.
        window: the rectangle, in pixels of the original frame.
        size: (height, width) of the result, in pixels.

    Returns:
        uint8 `(time, *size)` or `(time, *size, 3)`.
    """
    if frames.ndim == 4:
        return np.stack([resample(frames[..., channel], window, size) for channel in range(3)], axis=-1)
    rows = resample_weights(window.y0, window.y1, size[0], frames.shape[1])
    columns = resample_weights(window.x0, window.x1, size[1], frames.shape[2])
    rows, row_range = _without_empty_columns(rows)
    columns, column_range = _without_empty_columns(columns)
    out = np.empty((len(frames), *size), dtype=np.uint8)
    for index, frame in enumerate(frames):
        part = frame[row_range, column_range].astype(np.float32)
        out[index] = np.clip(np.rint(rows @ part @ columns.T), 0, 255)
    return out


def _lit_points(frames: Frames) -> npt.NDArray[np.int64]:
    """How many of the 16 points of each cell are lit in the temporal mean: `(cells, cells)`."""
    time, height, width = frames.shape
    points = frames[:, _points(height)][:, :, _points(width)].sum(axis=0, dtype=np.int64)
    lit = (points > LIT_ABOVE * time).reshape(CELLS, POINTS, CELLS, POINTS)
    return np.asarray(lit.sum(axis=(1, 3), dtype=np.int64))


def _points(length: int) -> npt.NDArray[np.int64]:
    """The pixels under the points of the grid along an axis of `length` pixels."""
    count = CELLS * POINTS
    return np.asarray((2 * np.arange(count) + 1) * length // (2 * count))


def _edge(cell: int, length: int) -> int:
    """The pixel edge nearest to the edge of a cell."""
    return (2 * int(cell) * length + CELLS) // (2 * CELLS)


def _body(points: npt.NDArray[np.int64]) -> Mask:
    """Cells of the image: bool `(cells, cells)` (steps 2 to 4 of the law)."""
    side = NEIGHBOURHOOD
    body = _neighbours(points >= STRONG_POINTS, side) > side * side // 2
    core = _neighbours(_neighbours(body, side) == side * side, side) > 0
    ground = body | (points >= WEAK_POINTS)
    for _ in range(GROWTH):
        core = (_neighbours(core, 3) > 0) & ground
    return np.asarray(core)


def _neighbours(mask: Mask, side: int) -> npt.NDArray[np.int64]:
    """How many cells of the `side` × `side` square around each cell are set; none are outside the grid."""
    padded = np.pad(mask.astype(np.int64), side // 2)
    rows = sum(padded[shift : shift + len(mask)] for shift in range(side))
    assert isinstance(rows, np.ndarray)
    columns = sum(rows[:, shift : shift + len(mask)] for shift in range(side))
    return np.asarray(columns)


def _extent(profile: npt.NDArray[np.int64], share: int) -> tuple[int, int]:
    """First and last (half open) of the runs that hold 1/`share` of the largest or more; (cells, 0) where none is."""
    on = profile > 0
    run = np.cumsum(~on)
    mass = np.where(run[:, None] == run[None, :], profile[None, :], 0).sum(axis=1)
    kept = np.flatnonzero(on & (share * mass >= mass.max()))
    return (int(kept[0]), int(kept[-1]) + 1) if len(kept) else (CELLS, 0)


def _without_empty_columns(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], slice]:
    """The weights without the source pixels that nothing looks at, and the range that is left."""
    used = np.flatnonzero(weights.any(axis=0))
    kept = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
    return weights[:, kept], kept
