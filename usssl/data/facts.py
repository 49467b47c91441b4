"""The facts of one cine: what a catalogue row says of the file itself."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

REGION = pa.struct([("kind", pa.string()), ("box", pa.list_(pa.int32())), ("inside", pa.bool_())])

FACTS = pa.schema(
    [
        ("id", pa.string()),
        ("folder", pa.string()),
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("container", pa.string()),
        ("codec", pa.string()),
        ("transfer_syntax", pa.string()),
        ("pixel_format", pa.string()),
        ("modality", pa.string()),
        ("manufacturer", pa.string()),
        ("frames", pa.int32()),
        ("reported_frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
        ("bits", pa.int32()),
        ("fps", pa.float64()),
        ("duration_s", pa.float64()),
        ("timing", pa.string()),
        ("rotation", pa.int32()),
        ("spacing_mm", pa.list_(pa.float64())),
        ("regions", pa.list_(REGION)),
        ("has_audio", pa.bool_()),
        ("silent", pa.bool_()),
        ("patient", pa.string()),
        ("warnings", pa.list_(pa.string())),
    ]
)
"""What the catalogue keeps of every cine; no identifier of a patient nor other free text of the header."""

_STATED = (
    *("container", "codec", "transfer_syntax", "pixel_format", "modality", "manufacturer", "frames", "reported_frames"),
    *("height", "width", "channels", "bits", "fps", "timing", "rotation", "has_audio"),
)

_NOT_READING = ("deidentify", "confidentiality", "review", "video_writing", "dicom_writing", "dicom_cleaning", "guard")


def read_facts(item: dict[str, Any]) -> dict[str, Any]:
    """Opens a cine and reads its facts (runs in a worker process).

    Args:
        item: `folder`, `path`, `size_bytes`, `mtime_ns`.

    Returns:
        A row of the schema `FACTS`.

    Raises:
        CineError: the file cannot be read as a cine.
    """
    from usssl.cine import open_cine

    with open_cine(Path(item["folder"]) / item["path"], threads=1) as cine:
        cine.read([0])  # a header that promises frames proves nothing
        facts = cine.facts
        audio = cine.audio
        return {
            **{name: item[name] for name in ("folder", "path", "size_bytes", "mtime_ns")},
            **{name: getattr(facts, name) for name in _STATED},
            "id": cine.id,
            "duration_s": duration(cine.times, facts.fps),
            "spacing_mm": None if facts.spacing_mm is None else [float(value) for value in facts.spacing_mm],
            "regions": [
                {"kind": region.kind, "box": [int(edge) for edge in region.box], "inside": region.inside}
                for region in cine.regions
            ],
            "silent": None if audio is None else audio.is_silent,
            "patient": cine.patient,
            "warnings": list(facts.warnings),
        }


@functools.cache
def reader_version() -> str:
    """A hash of the code that reads cines: what another version read is read again."""
    import usssl.cine

    code = hashlib.sha256()
    for file in sorted(Path(usssl.cine.__path__[0]).glob("*.py")):
        if not file.stem.startswith(_NOT_READING):
            code.update(file.read_bytes())
    return code.hexdigest()[:16]


def duration(times: np.ndarray, fps: float | None) -> float | None:
    """Seconds from the start of the first frame to the end of the last, or None where the rate is not known.

    Args:
        times: seconds of each frame, `(T,)`; NaN where unknown.
        fps: frames a second, or None.
    """
    if not fps or not np.isfinite(times[-1]):
        return None
    return float(times[-1] - times[0] + 1 / fps)
