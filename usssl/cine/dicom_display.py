"""From stored DICOM samples to the grey or RGB bytes that a person would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from usssl.cine.dicom_codecs import PixelLayout


@dataclass(frozen=True)
class Display:
    """What turns samples to bytes, the same for all frames.

    Attributes:
        table: for one-sample images a lookup table of bytes, `(2 ** bits,)` or `(2 ** bits, 3)`; None where the samples
            are bytes already.
        offset: what is added to a sample before it is looked up (for signed samples).
        mask: bits of a sample that count.
    """

    table: np.ndarray | None = None
    offset: int = 0
    mask: int | None = None


def display_of(dataset: Any, layout: PixelLayout) -> Display:
    """Builds the lookup table of an image.

    MONOCHROME of 8 bits is shown as it is stored (inverted for MONOCHROME1): ultrasound bytes are meant for the screen.
    Of 9 to 16 bits it goes through the modality transform and the first VOI LUT or window (PS3.3 C.11.1, C.11.2), or,
    where there is none, from the whole stored range to 0–255. PALETTE COLOR goes through its colour tables (C.7.9).

    Raises:
        ValueError: if a table that is needed is missing or damaged.
    """
    if layout.samples != 1:
        return Display()
    bits = min(layout.stored, 16)
    if layout.photometric == "PALETTE COLOR":
        return Display(_palette(dataset, layout.allocated), mask=None)
    inverted = layout.photometric == "MONOCHROME1"
    if layout.stored <= 8 and not layout.signed and layout.allocated == 8:
        return Display(np.arange(255, -1, -1, dtype=np.uint8)) if inverted else Display()
    lowest = -(1 << (bits - 1)) if layout.signed else 0
    stored = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    table = _window(dataset, stored)
    return Display(255 - table if inverted else table, offset=-lowest, mask=(1 << bits) - 1)


def to_bytes(samples: np.ndarray, photometric: str, display: Display, channels: int) -> np.ndarray:
    """Applies the table, or turns YCbCr to RGB.

    Args:
        samples: `(H, W)` or `(H, W, 3)` as stored.
        photometric: what they mean now.
        display: from `display_of`.
        channels: 1 or 3; where 1 is asked of YCbCr, its luma is taken as it is.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`; of colour images three channels unless one was asked for.
    """
    import cv2

    if samples.ndim == 2:
        if display.table is None:
            return samples.astype(np.uint8, copy=False)
        index = samples.astype(np.int64) + display.offset if display.offset else samples
        if display.mask is not None:
            index = index & display.mask
        return display.table[np.minimum(index, len(display.table) - 1)]
    if samples.dtype != np.uint8:
        samples = (samples >> 8).astype(np.uint8)
    if not photometric.startswith("YBR"):
        return samples
    if channels == 1:
        return samples[..., 0]
    return cv2.cvtColor(np.ascontiguousarray(samples[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)


def _palette(dataset: Any, allocated: int) -> np.ndarray:
    """The colour of every sample value, uint8 `(2 ** allocated, 3)`; beyond the table its ends count."""
    every = np.arange(1 << min(allocated, 16))
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        from pydicom.pixels import apply_color_lut

        colors = apply_color_lut(every.astype(np.uint16 if allocated > 8 else np.uint8)[None], dataset)[0, :, :3]
    else:
        columns = []
        for name in ("Red", "Green", "Blue"):
            entries, first, _ = (int(v) for v in dataset[f"{name}PaletteColorLookupTableDescriptor"].value)
            table = _table_entries(dataset, f"{name}PaletteColorLookupTableData", entries or 65536)
            columns.append(table[np.clip(every - first, 0, len(table) - 1)])
        colors = np.stack(columns, axis=-1)
    # Tables of 16 bits hold 8-bit values in the high byte (C.7.6.3.1.6), or, from old writers, in the low one.
    return (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)


def _table_entries(dataset: Any, keyword: str, entries: int) -> np.ndarray:
    value = dataset[keyword].value
    if not isinstance(value, bytes):
        return np.array(value, dtype=np.int64)[:entries]
    order = ">" if dataset.original_encoding[1] is False else "<"
    words = len(value) >= 2 * entries
    table = np.frombuffer(value[: entries * 2 if words else entries], f"{order}u2" if words else np.uint8)
    if not len(table):
        raise ValueError("an empty colour table")
    return table


def _window(dataset: Any, stored: np.ndarray) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(stored, dataset))
    if dataset.get("VOILUTSequence"):
        shown = np.asarray(apply_voi(values.astype(np.int64), dataset), dtype=np.float64)
        top = (1 << int(dataset.VOILUTSequence[0].LUTDescriptor[2])) - 1
        return np.clip(np.rint(shown * 255.0 / top), 0, 255).astype(np.uint8)
    center, width = (_first_number(dataset.get(k)) for k in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        low, high = float(stored[0]), float(stored[-1])
        return np.rint((stored - low) * 255.0 / (high - low)).astype(np.uint8)
    shown = window_level(values.astype(np.float64), center, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    return np.rint(shown * 255.0).astype(np.uint8)


def window_level(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """The window functions of PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Args:
        values: after the modality transform.
        center: WindowCenter.
        width: WindowWidth, at least 1 for LINEAR, above 0 otherwise.
        function: `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.

    Returns:
        float64 in [0, 1].
    """
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / max(width, 1e-9), -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / max(width, 1e-9) + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _first_number(value: Any) -> float | None:
    """The first of several windows, as a viewer shows at first."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        value = next(iter(value), None)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
