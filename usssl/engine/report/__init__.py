"""The report: one HTML file that shows what a run learned, complete in itself and open to plain data."""

from __future__ import annotations

from usssl.engine.report.content import (
    BundleFacts,
    Comparison,
    Confusion,
    Curves,
    Failure,
    Figure,
    Measured,
    PlaneFound,
    Report,
    SaliencyExample,
    ShortcutCheck,
    ShortcutChecks,
    Timeline,
)
from usssl.engine.report.curves import read_curves
from usssl.engine.report.page import render_report, write_report

__all__ = [
    "BundleFacts",
    "Comparison",
    "Confusion",
    "Curves",
    "Failure",
    "Figure",
    "Measured",
    "PlaneFound",
    "Report",
    "SaliencyExample",
    "ShortcutCheck",
    "ShortcutChecks",
    "Timeline",
    "read_curves",
    "render_report",
    "write_report",
]
