"""What differs between two views, as numbers for a projection head (methods/cate, Parameterisation).

Encodings are relative, "from view a to view b", or absolute. Each comes with a mask: one that is not known, such as the
time shift of a looped clip, is absent, which is not the same as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from usssl.augment.view import View

Kind = Literal["time", "crop", "flip", "speed"]


@dataclass(frozen=True)
class Encoding:
    """One kind of encoding for a batch.

    Attributes:
        values: `(batch, numbers)` float32; 0 where not known.
        known: `(batch,)` bool.
    """

    values: Tensor
    known: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Encoding:
        """Takes rows with a NaN as not known."""
        known = values.isfinite().all(dim=1)
        return cls(torch.where(known[:, None], values, 0.0).float(), known)

    def rows(self, index: Tensor) -> Encoding:
        """Some rows, for example shuffled ones."""
        return Encoding(self.values[index], self.known[index])


def time_shift(a: View, b: View) -> Tensor:
    """`t_b - t_a` between the starts, seconds: `(batch, 1)`; positive where b comes later."""
    return (b.start_s - a.start_s)[:, None]


def box_shift(a: View, b: View, unit: Literal["share", "mm"] = "share") -> Tensor:
    """`box_b - box_a`, `(batch, 4)`: in shares of the original frame, or in mm where the spacing is known."""
    return _boxes(b, unit) - _boxes(a, unit)


def box_change(a: View, b: View, unit: Literal["share", "mm"] = "share") -> Tensor:
    """Detector style: shift of the centre over the size of a's box, and log ratio of the sizes; `(batch, 4)`."""
    (centre_a, size_a), (centre_b, size_b) = (_centre_and_size(_boxes(view, unit)) for view in (a, b))
    return torch.cat([(centre_b - centre_a) / size_a, (size_b / size_a).log()], dim=1)


def mirrored_change(a: View, b: View) -> Tensor:
    """-1 where exactly one of the views is mirrored, else 1: `(batch, 1)`."""
    return _handedness(a) * _handedness(b)


def speed_change(a: View, b: View) -> Tensor:
    """log2 of the ratio of the times from frame to frame: `(batch, 1)`; 1 where b plays twice as fast."""
    return (b.step_s.abs() / a.step_s.abs()).log2()[:, None]


def sinusoid(values: Tensor, dims: int, base: float = 10000.0) -> Tensor:
    """Sine and cosine of each value at geometric frequencies, as a transformer's positions.

    Args:
        values: `(batch,)`.
        dims: numbers a value, even: (sin, cos) for each of the frequencies `base^(-2 k / dims)`, k = 0, 1, ….
        base: of the frequencies.

    Returns:
        `(batch, dims)`.
    """
    if dims < 2 or dims % 2:
        raise ValueError(f"a sinusoid needs an even number of dimensions, at least 2, got {dims}")
    frequency = base ** (-torch.arange(0, dims, 2, dtype=values.dtype) / dims)
    angle = values[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


class Encodings(BaseModel):
    """Which encodings a head is given; each is a switch of an ablation.

    Attributes:
        kinds: any of time, crop, flip, speed; none is the plain contrastive baseline.
        mode: relative, from one view to the other, or absolute, of each view by itself.
        crop_form: corners of the boxes, or shift of the centre and log ratio of the sizes ("detector").
        crop_unit: shares of the original frame (absolute: of the frame that was cropped), or mm; clips without spacing
            then have no crop encoding.
        max_shift_s: unit of the time shift, seconds.
        sinusoids: further numbers of the time shift in seconds: sines and cosines (`sinusoid`); 0 for none.
        shuffled: give each pair the encodings of another pair of the batch, the control of methods/cate, section 8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kinds: tuple[Kind, ...] = ("time", "crop")
    mode: Literal["relative", "absolute"] = "relative"
    crop_form: Literal["corners", "detector"] = "corners"
    crop_unit: Literal["share", "mm"] = "share"
    max_shift_s: Annotated[float, Field(gt=0)] = 1.0
    sinusoids: Annotated[int, Field(ge=0, multiple_of=2)] = 0
    shuffled: bool = False

    def relative(self, a: View, b: View) -> dict[str, Encoding]:
        """The encodings from view a to view b, by kind."""
        crop = box_shift if self.crop_form == "corners" else box_change
        values = {
            "time": lambda: self._time(time_shift(a, b)),
            "crop": lambda: crop(a, b, self.crop_unit),
            "flip": lambda: mirrored_change(a, b),
            "speed": lambda: speed_change(a, b),
        }
        return self._encoded({kind: values[kind]() for kind in self.kinds})

    def absolute(self, view: View) -> dict[str, Encoding]:
        """The encodings of one view by itself, by kind; the crop is centre and size within the frame that was cropped.

        In the original frame the crop would tell where the stored frames lie in it, which is each cine's own.
        """
        boxes = _boxes_within(view, self.crop_unit)
        values = {
            "time": lambda: self._time(view.start_s[:, None]),
            "crop": lambda: torch.cat(_centre_and_size(boxes), dim=1),
            "flip": lambda: _handedness(view),
            "speed": lambda: view.step_s.abs().log2()[:, None],
        }
        return self._encoded({kind: values[kind]() for kind in self.kinds})

    def numbers(self, kind: Kind) -> int:
        """How many numbers an encoding of this kind has."""
        return {"time": 1 + self.sinusoids, "crop": 4, "flip": 1, "speed": 1}[kind]

    def _time(self, seconds: Tensor) -> Tensor:
        scaled = seconds / self.max_shift_s
        return torch.cat([scaled, sinusoid(seconds[:, 0], self.sinusoids)], dim=1) if self.sinusoids else scaled

    def _encoded(self, values: dict[str, Tensor]) -> dict[str, Encoding]:
        encodings = {kind: Encoding.of(value) for kind, value in values.items()}
        if self.shuffled:
            encodings = {kind: e.rows(torch.arange(len(e.known)).roll(1)) for kind, e in encodings.items()}
        return encodings


def _handedness(view: View) -> Tensor:
    return torch.sign(view.box[:, 2:] - view.box[:, :2]).prod(dim=1, keepdim=True)


def _boxes(view: View, unit: str) -> Tensor:
    if unit == "share":
        return view.box
    return view.box * view.frame_mm.flip(1).repeat(1, 2)


def _boxes_within(view: View, unit: str) -> Tensor:
    low, high = view.source.window[:, :2], view.source.window[:, 2:]
    boxes = view.box - low.repeat(1, 2)
    return boxes * (1 / (high - low) if unit == "share" else view.frame_mm.flip(1)).repeat(1, 2)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[:, :2], boxes[:, 2:]
    return (low + high) / 2, (high - low).abs()
