"""Open, decode, calibrate, de-identify and write cines; find the ultrasound sector.

`open_cine` reads any file that a hospital or a laboratory keeps a cine in. Names load where they are first used, so
that `import usssl.cine` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usssl.cine.cine import Cine
    from usssl.cine.deidentify import deidentify_folder
    from usssl.cine.dicom_writing import write_dicom
    from usssl.cine.facts import Audio, CineFacts, Limits, Region
    from usssl.cine.guarded import open_cine_guarded
    from usssl.cine.opening import open_cine
    from usssl.cine.pseudonym import Pseudonyms
    from usssl.cine.sector import content_box, crop_window
    from usssl.cine.video_writing import write_video

_HOMES = {
    "Audio": "facts",
    "Cine": "cine",
    "CineFacts": "facts",
    "Limits": "facts",
    "Pseudonyms": "pseudonym",
    "Region": "facts",
    "content_box": "sector",
    "crop_window": "sector",
    "deidentify_folder": "deidentify",
    "open_cine": "opening",
    "open_cine_guarded": "guarded",
    "write_dicom": "dicom_writing",
    "write_video": "video_writing",
}

__all__ = [
    "Audio",
    "Cine",
    "CineFacts",
    "Limits",
    "Pseudonyms",
    "Region",
    "content_box",
    "crop_window",
    "deidentify_folder",
    "open_cine",
    "open_cine_guarded",
    "write_dicom",
    "write_video",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"usssl.cine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'usssl.cine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
