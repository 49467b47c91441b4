"""Pixels put into a DICOM data set without loss, whatever coding they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_RLE = "1.2.840.10008.1.2.5"
_MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.3")
_OF_OTHER_CODINGS = (
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth",
    "WindowCenterWidthExplanation", "VOILUTSequence", "VOILUTFunction", "ModalityLUTSequence", "PlanarConfiguration",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip


def set_pixels(dataset: Any, frames: Callable[[], Iterable[np.ndarray]], channels: int, collapse: bool = False) -> None:
    """Puts 8-bit frames into a data set, RLE lossless, and describes them.

    Args:
        dataset: with file meta information; changed in place.
        frames: called for the frames, uint8 `(H, W)` or `(H, W, 3)`; twice at most.
        channels: 1 or 3.
        collapse: store RGB frames as grey if red, green and blue are the same throughout.
    """
    coded = _coded_grey(frames()) if channels == 3 and collapse else None
    if coded is None:
        coded = [_rle(frame) for frame in frames()]
    else:
        channels = 1
    first = next(iter(frames()))
    _describe(dataset, first.shape[0], first.shape[1], channels, len(coded))
    _encapsulate(dataset, coded)


def _coded_grey(frames: Iterable[np.ndarray]) -> list[bytes] | None:
    """The frames coded as grey, or None as soon as one has colour."""
    coded = []
    for frame in frames:
        if not (np.array_equal(frame[..., 0], frame[..., 1]) and np.array_equal(frame[..., 0], frame[..., 2])):
            return None
        coded.append(_rle(np.ascontiguousarray(frame[..., 0])))
    return coded


def _rle(frame: np.ndarray) -> bytes:
    from pydicom.pixels.encoders import RLELosslessEncoder

    grey = frame.ndim == 2
    return RLELosslessEncoder.encode(
        np.ascontiguousarray(frame),
        encoding_plugin="pylibjpeg",
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=1 if grey else 3,
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2" if grey else "RGB",
        planar_configuration=0,
        number_of_frames=1,
    )


def _describe(dataset: Any, rows: int, columns: int, channels: int, frames: int) -> None:
    for keyword in _OF_OTHER_CODINGS:
        if keyword in dataset:
            del dataset[keyword]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = channels
    dataset.PhotometricInterpretation = "MONOCHROME2" if channels == 1 else "RGB"
    if channels == 3:
        dataset.PlanarConfiguration = 1  # RLE codes plane by plane (PS3.5 G.2)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if frames > 1 or "NumberOfFrames" in dataset or dataset.get("SOPClassUID") in _MULTI_FRAME:
        dataset.NumberOfFrames = frames
    if len(_listed(dataset.get("FrameTimeVector"))) not in (0, frames):
        del dataset.FrameTimeVector  # it counted frames that are not there


def _encapsulate(dataset: Any, coded: list[bytes]) -> None:
    from pydicom.encaps import encapsulate

    dataset.file_meta.TransferSyntaxUID = _RLE
    # Offsets of the basic table have 32 bits.
    dataset.PixelData = encapsulate(coded, has_bot=sum(map(len, coded)) + 8 * len(coded) < 1 << 32)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if hasattr(value, "__iter__") else [value]
