"""What is known of a cine beside its pixels: regions, sound, facts for the catalogue, and the limits of reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Color = Literal["native", "grey", "rgb"]

SILENCE = 1e-4  # -80 dB of full scale: below it, dither and coder noise


@dataclass(frozen=True)
class Limits:
    """How much one file may ask for; checked before memory is allocated.

    Attributes:
        max_frame_pixels: rows × columns of one frame.
        max_frames: frames of one cine.
        max_read_pixels: frames × rows × columns × channels of one read.
        max_seconds: time for one request to a guarded reader (`open_cine_guarded`).
        max_memory: bytes of address space that a guarded reader may add to what it starts with.
    """

    max_frame_pixels: int = 1 << 26
    max_frames: int = 1 << 20
    max_read_pixels: int = 1 << 33
    max_seconds: float = 60.0
    max_memory: int = 4 << 30


@dataclass(frozen=True)
class Region:
    """One calibrated region of the frame (DICOM PS3.3 C.8.5.5, Sequence of Ultrasound Regions).

    Attributes:
        kind: `b_mode`, `color_flow`, `m_mode`, `pw_doppler`, `cw_doppler`, `doppler_trace`, `ecg`, `pulse`,
            `phonocardiogram`, `gray_bar`, `color_bar` or `other`.
        box: (x0, y0, x1, y1) in pixels, half-open, clamped to the frame.
        delta: physical size of one pixel along x and y, in `units`; None where the file does not say.
        units: units of `delta` along x and y: `cm`, `s`, `hz`, `cm/s`, …, or `none`.
        inside: False where the file's box reached past the frame: then the coordinates mean another, larger image, and
            neither the box nor `delta` can be trusted.
    """

    kind: str
    box: tuple[int, int, int, int]
    delta: tuple[float, float] | None = None
    units: tuple[str, str] = ("none", "none")
    inside: bool = True

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """(row, column) spacing in mm where both axes are lengths and the box is trusted, else None."""
        if self.delta is None or self.units != ("cm", "cm") or not self.inside:
            return None
        column, row = (abs(d) * 10.0 for d in self.delta)
        return (row, column) if row > 0 and column > 0 else None


@dataclass(frozen=True)
class Audio:
    """The sound of a cine.

    Attributes:
        waveform: float32 `(samples,)` in [-1, 1], the mean of the channels.
        rate: samples a second.
        start: seconds of the first sample on the clock of `Cine.times`.
    """

    waveform: np.ndarray
    rate: int
    start: float = 0.0

    @property
    def is_silent(self) -> bool:
        """True where no sample is louder than -80 dB of full scale: a sound track is not yet sound."""
        return self.waveform.size == 0 or float(np.abs(self.waveform).max()) < SILENCE


@dataclass(frozen=True)
class CineFacts:
    """What the catalogue keeps of a cine. Holds no identifier of a person.

    Attributes:
        container: `dicom`, `mp4`, `matroska`, `avi`, `mpeg`, `gif`, `tiff`, `metaimage`, `folder`, `numpy`, `image`, …
        codec: how the frames are coded, such as `h264`, `jpeg`, `rle`, `raw`.
        frames: frames that can be read.
        height: rows of a frame as it is shown (after rotation).
        width: columns of a frame as it is shown.
        channels: 1 (grey) or 3 (RGB) in `native` colour.
        fps: frames a second, or None where the file does not say.
        reported_frames: what the header claims, or None where it claims nothing.
        bits: bits of one sample as stored.
        pixel_format: photometric interpretation (DICOM) or pixel format (video).
        transfer_syntax: UID, DICOM only.
        timing: where the times come from, such as `FrameTimeVector` or `pts`; `none` where the file does not say.
        spacing_mm: (row, column), or None.
        has_audio: there is a sound track; only decoding it tells whether it is silent (`Audio.is_silent`).
        rotation: degrees counter-clockwise that reading turned the stored frames by.
        modality: DICOM modality, or an empty string.
        manufacturer: of the scanner, or an empty string.
        burned_in_annotation: what the file says (`YES`, `NO`), or an empty string; not to be relied on.
        warnings: sentences on what the file says wrongly and what was lost.
    """

    container: str
    codec: str
    frames: int
    height: int
    width: int
    channels: int
    fps: float | None = None
    reported_frames: int | None = None
    bits: int = 8
    pixel_format: str = ""
    transfer_syntax: str = ""
    timing: str = "none"
    spacing_mm: tuple[float, float] | None = None
    has_audio: bool = False
    rotation: int = 0
    modality: str = ""
    manufacturer: str = ""
    burned_in_annotation: str = ""
    warnings: tuple[str, ...] = field(default=())
