"""Everything after the resampling of a view, a few clips at a time so that they stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from usssl.augment.blur import GaussianBlur, blur
from usssl.augment.colour import ColourOp, compose_colour_ops, mean_colour, multiply
from usssl.augment.op import FieldOp, Op, Params, PixelOp, TemporalOp, mix_frames, shift_echoes

Steps = Sequence[tuple[str, Any]]


class FrameFinish:
    """Echo, blur and colour of resampled frames, where all ops of a kind that follow each other are one pass.

    Args:
        steps: the ops, with the names of their parameters.
        drawn: the parameters; what depends on the pixels is written into them.
        frames: all resampled frames, `(rows, time, channels, height, width)`, uint8 or floating.
        at: `(rows, height, width, 2)` where each pixel lies in the original frame, needed if there are shifts of echo.
    """

    def __init__(self, steps: Steps, drawn: dict[str, Params], frames: Tensor, at: Tensor | None) -> None:
        self._frames, self._drawn, self._at = frames, drawn, at
        self._passes = [(kind, list(group)) for kind, group in groupby(steps, key=lambda step: _kind(step[1]))]
        self._settled: dict[str, list[Params]] = {}
        self._first: Tensor | None = None
        if self._passes and self._passes[0][0] is ColourOp:
            self._first = self._compose(self._passes[0][1], slice(0, len(frames)), mean_colour(frames))

    def __call__(self, rows: slice, out: Tensor) -> Tensor:
        """The finished frames of some rows, in 0..1 as float32.

        Args:
            rows: which ones.
            out: float32 memory for them. The result lies in it where that saves a pass.
        """
        frames = self._frames[rows]
        scale = 1 / 255 if frames.dtype == torch.uint8 else 1.0
        mixes = frames.shape[2] == 3 and bool(self._passes) and self._passes[0][0] is ColourOp
        unit = frames.to(torch.float32, copy=True) if mixes else out.copy_(frames)
        for place, (kind, group) in enumerate(self._passes):
            if kind is ColourOp:
                if place == 0 and self._first is not None:
                    matrix = self._first[rows]
                else:
                    matrix = self._compose(group, rows, mean_colour(unit) * scale)
                matrix = torch.cat([matrix[:, :, :3] * scale, matrix[:, :, 3:]], dim=2)
                unit = multiply(unit, matrix, None if unit is out else out).clamp_(0, 1)
            else:
                unit = unit.mul_(scale) if scale != 1 else unit
                unit = self._change(kind, group, rows, unit)
            scale = 1.0
        return unit.mul_(scale) if scale != 1 else unit

    def close(self) -> None:
        """Writes what the pixels decided into the records of the parameters."""
        for name, parts in self._settled.items():
            self._drawn[name] = Params.joined(parts)

    def _compose(self, group: Steps, rows: slice, mean: Tensor) -> Tensor:
        pairs = [(op, self._drawn[name].rows(rows)) for name, op in group if isinstance(op, ColourOp)]
        matrix, settled = compose_colour_ops(pairs, mean)
        for (name, _), params in zip(group, settled, strict=True):
            self._settled.setdefault(name, []).append(params)
        return matrix

    def _change(self, kind: type[Op[Any]], group: Steps, rows: slice, unit: Tensor) -> Tensor:
        own: list[tuple[Any, Any]] = [(op, self._drawn[name].rows(rows)) for name, op in group]
        if kind is FieldOp:
            assert self._at is not None
            at = self._at[rows].to(unit.device)
            return shift_echoes(unit, torch.stack([op.shift(params, at) for op, params in own]).sum(dim=0)).clamp_(0, 1)
        for op, params in own:
            if isinstance(op, GaussianBlur):
                unit = blur(unit, params.sigma, op.reach(unit.shape[-2]))
            else:
                unit = op.change(unit, params).clamp_(0, 1)
        return unit


def finish_clips(unit: Tensor, steps: Steps, drawn: dict[str, Params], rows: slice) -> Tensor:
    """Mixing of frames and cutouts of clips in 0..1; successive matrices over time are multiplied first."""
    for kind, group in groupby(steps, key=lambda step: _kind(step[1])):
        own = [(op, drawn[name].rows(rows)) for name, op in group]
        if kind is TemporalOp:
            unit = mix_frames(unit, _product([op.weights(params, unit.shape[1]) for op, params in own]))
        else:
            for op, params in own:
                unit = op.change(unit, params)
    return unit


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover `0..count`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _product(matrices: Sequence[Tensor]) -> Tensor:
    total = matrices[0]
    for matrix in matrices[1:]:
        total = matrix @ total
    return total


def _kind(op: Op[Any]) -> type[Op[Any]]:
    for kind in (ColourOp, FieldOp, GaussianBlur, TemporalOp, PixelOp):
        if isinstance(op, kind):
            return kind
    raise TypeError(f"{type(op).__name__} is of no kind that can follow the resampling")
