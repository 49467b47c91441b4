"""Calibrated regions of an ultrasound image, and the spacing that follows from them (DICOM PS3.3 C.8.5.5)."""

from __future__ import annotations

from typing import Any

from usssl.cine.facts import Region

# C.8.5.5.1.2, Region Data Type
_KINDS = {
    1: "b_mode",
    2: "color_flow",
    3: "pw_doppler",
    4: "cw_doppler",
    5: "doppler_trace",
    6: "doppler_trace",
    7: "doppler_trace",
    8: "doppler_trace",
    10: "ecg",
    11: "pulse",
    12: "phonocardiogram",
    13: "gray_bar",
    14: "color_bar",
}
_TWO_DIMENSIONAL, _M_MODE = 1, 2  # C.8.5.5.1.1, Region Spatial Format

# C.8.5.5.1.15, Physical Units
UNITS = ("none", "percent", "db", "cm", "s", "hz", "db/s", "cm/s", "cm2", "cm2/s", "cm3", "cm3/s", "deg")


def read_regions(dataset: Any, rows: int, columns: int) -> tuple[Region, ...]:
    """The regions that Sequence of Ultrasound Regions (0018,6011) lists, their boxes clamped to the frame.

    X1 and Y1 are the last pixel (C.8.5.5.1.3); some writers give the one after it, which the clamp absorbs. A box that
    reaches further out than that means another, larger image: `Region.inside` is then False.

    Args:
        dataset: the pydicom data set.
        rows: of the frame.
        columns: of the frame.
    """
    regions = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        region = _region(item, rows, columns)
        if region is not None:
            regions.append(region)
    return tuple(regions)


def pixel_spacing(dataset: Any, regions: tuple[Region, ...]) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """The spacing of the image: of its largest B-mode or colour region, else Pixel Spacing (0028,0030).

    Returns:
        (row, column) in mm or None, and sentences on what could not be trusted.
    """
    notes = []
    if any(not region.inside for region in regions):
        notes.append("a region lies outside the frame, so the regions mean another image and give no spacing")
        regions = ()
    images = [r for r in regions if r.kind in ("b_mode", "color_flow") and r.spacing_mm is not None]
    if images:
        largest = max(images, key=lambda r: (r.box[2] - r.box[0]) * (r.box[3] - r.box[1]))
        if any(r.kind == "b_mode" and r.spacing_mm != largest.spacing_mm for r in images):
            notes.append("its B-mode regions differ in spacing; that of the largest is given")
        return largest.spacing_mm, tuple(notes)
    try:
        row, column = (float(v) for v in dataset.get("PixelSpacing") or ())
    except (TypeError, ValueError):
        return None, tuple(notes)
    return ((row, column) if row > 0 and column > 0 else None), tuple(notes)


def _region(item: Any, rows: int, columns: int) -> Region | None:
    try:
        corners = [int(item[k].value) for k in _CORNERS]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    x0, y0, x1, y1 = corners
    inside = 0 <= x0 <= x1 <= columns and 0 <= y0 <= y1 <= rows
    box = (
        min(max(x0, 0), columns),
        min(max(y0, 0), rows),
        min(max(x1 + 1, 0), columns),
        min(max(y1 + 1, 0), rows),
    )
    return Region(_kind(item), box, _delta(item), _units(item), inside)


_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


def _kind(item: Any) -> str:
    spatial, data = _integer(item, "RegionSpatialFormat"), _integer(item, "RegionDataType")
    if spatial == _M_MODE and data in (1, 2):
        return "m_mode"
    kind = _KINDS.get(data, "other")
    return "other" if kind in ("b_mode", "color_flow") and spatial != _TWO_DIMENSIONAL else kind


def _units(item: Any) -> tuple[str, str]:
    codes = (_integer(item, f"PhysicalUnits{axis}Direction") for axis in "XY")
    x, y = (UNITS[c] if 0 <= c < len(UNITS) else "none" for c in codes)
    return x, y


def _delta(item: Any) -> tuple[float, float] | None:
    try:
        return float(item["PhysicalDeltaX"].value), float(item["PhysicalDeltaY"].value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _integer(item: Any, keyword: str) -> int:
    try:
        return int(item[keyword].value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return -1
