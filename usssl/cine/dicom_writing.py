"""Writing ultrasound cines as DICOM Ultrasound (Multi-frame) Image Storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from usssl.cine.facts import Region
from usssl.cine.video_writing import atomic_path
from usssl.errors import OutputError

_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
_SINGLE_FRAME = "1.2.840.10008.5.1.4.1.1.6.1"
_UID_ROOT = "2.25."  # UIDs made from a UUID (PS3.5 B.2): nobody's registered root is claimed
_CENTIMETRE = 3  # PS3.3 C.8.5.5.1.15

# PS3.3 C.8.5.5.1.1 and C.8.5.5.1.2: spatial format and data type
_REGION_CODES = {
    "b_mode": (1, 1),
    "color_flow": (1, 2),
    "m_mode": (2, 1),
    "pw_doppler": (3, 3),
    "cw_doppler": (3, 4),
    "doppler_trace": (3, 5),
    "ecg": (4, 10),
    "pulse": (4, 11),
    "phonocardiogram": (4, 12),
    "gray_bar": (5, 13),
    "color_bar": (5, 14),
    "other": (0, 0),
}
_UNIT_CODES = {
    "none": 0,
    "percent": 1,
    "db": 2,
    "cm": 3,
    "s": 4,
    "hz": 5,
    "db/s": 6,
    "cm/s": 7,
    "cm2": 8,
    "cm2/s": 9,
    "cm3": 10,
    "cm3/s": 11,
    "deg": 12,
}

Syntax = Literal["jpeg", "rle", "native"]


def write_dicom(
    path: str | Path,
    frames: Iterable[np.ndarray] | np.ndarray,
    fps: float | None,
    *,
    spacing_mm: tuple[float, float] | None = None,
    regions: Iterable[Region] = (),
    patient_name: str = "",
    patient_id: str = "",
    transfer_syntax: Syntax = "jpeg",
    quality: int = 95,
    seed: str | None = None,
    tags: Mapping[str, Any] | None = None,
) -> Path:
    """Writes frames as an ultrasound image, whole or not at all.

    Args:
        path: the file to write.
        frames: uint8 `(H, W)` or `(H, W, 3)` each, all alike.
        fps: frames a second; None leaves the timing out.
        spacing_mm: (row, column) spacing. Without `regions`, one B-mode region over the whole frame carries it.
        regions: calibrated regions; a `b_mode` region without `delta` takes `spacing_mm`.
        patient_name: PatientName.
        patient_id: PatientID.
        transfer_syntax: `jpeg` (baseline, lossy), `rle` or `native` (both lossless).
        quality: of JPEG, 1 to 100.
        seed: makes the UIDs and dates the same at every run; instances of one study share what stands before the last
            `/`.
        tags: further elements by keyword, such as `{"Manufacturer": "…"}`; they win over what is set here.

    Returns:
        The path written.

    Raises:
        OutputError: if there are no frames, a frame does not fit, or the file cannot be written.
    """
    path = Path(path)
    pixels = _stack(frames, path)
    dataset = _dataset(pixels, seed, patient_name, patient_id)
    _set_size(dataset, pixels)
    _set_timing(dataset, len(pixels), fps)
    _set_regions(dataset, tuple(regions), spacing_mm)
    _set_pixels(dataset, pixels, transfer_syntax, quality)
    for keyword, value in (tags or {}).items():
        setattr(dataset, keyword, value)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return path


def _stack(frames: Iterable[np.ndarray] | np.ndarray, path: Path) -> np.ndarray:
    listed = [np.asarray(frame) for frame in frames]
    if not listed:
        raise OutputError(f"cannot write {path}: there are no frames")
    first = listed[0]
    if first.dtype != np.uint8 or not (first.ndim == 2 or (first.ndim == 3 and first.shape[2] == 3)):
        raise OutputError(f"cannot write {path}: frames are uint8 (H, W) or (H, W, 3), not {first.dtype} {first.shape}")
    for frame in listed:
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise OutputError(
                f"cannot write {path}: a frame is {frame.dtype} {frame.shape}, the first was {first.shape}"
            )
    return np.stack(listed)


def _uid(seed: str | None) -> str:
    from pydicom.uid import generate_uid

    if seed is None:
        return str(generate_uid(prefix=None))
    return _UID_ROOT + str(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big"))


def _dataset(pixels: np.ndarray, seed: str | None, patient_name: str, patient_id: str) -> Any:
    from datetime import UTC, datetime

    from pydicom.dataset import Dataset, FileMetaDataset

    study = None if seed is None else seed.rpartition("/")[0] or seed
    now = datetime(2026, 1, 1, 12, tzinfo=UTC) if seed is not None else datetime.now(UTC)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    dataset.SOPClassUID = _MULTI_FRAME if len(pixels) > 1 else _SINGLE_FRAME
    dataset.SOPInstanceUID = _uid(None if seed is None else f"{seed}#instance")
    dataset.StudyInstanceUID = _uid(None if study is None else f"{study}#study")
    dataset.SeriesInstanceUID = _uid(None if study is None else f"{study}#series")
    dataset.StudyDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = now.strftime("%H%M%S")
    dataset.Modality = "US"
    dataset.Manufacturer = ""
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = ""
    dataset.PatientName = patient_name
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.PatientOrientation = ""
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _set_timing(dataset: Any, frames: int, fps: float | None) -> None:
    if fps is None or frames < 2:
        return
    from pydicom.tag import Tag
    from pydicom.valuerep import DSfloat

    dataset.FrameTime = DSfloat(1000.0 / fps, auto_format=True)
    dataset.FrameIncrementPointer = Tag("FrameTime")
    dataset.CineRate = round(fps)
    dataset.RecommendedDisplayFrameRate = round(fps)


def _set_regions(dataset: Any, regions: tuple[Region, ...], spacing_mm: tuple[float, float] | None) -> None:
    if not regions and spacing_mm is not None:
        regions = (Region("b_mode", (0, 0, 1 << 30, 1 << 30)),)
    if regions:
        dataset.SequenceOfUltrasoundRegions = [_region_item(dataset, region, spacing_mm) for region in regions]


def _region_item(dataset: Any, region: Region, spacing_mm: tuple[float, float] | None) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = _REGION_CODES[region.kind]
    item.RegionFlags = 0
    x0, y0, x1, y1 = region.box
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1 = min(x1, dataset.Columns) - 1  # the last pixel, not the one after it
    item.RegionLocationMaxY1 = min(y1, dataset.Rows) - 1
    delta, units = region.delta, region.units
    if delta is None and region.kind == "b_mode" and spacing_mm is not None:
        delta, units = (spacing_mm[1] / 10, spacing_mm[0] / 10), ("cm", "cm")
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = (_UNIT_CODES[unit] for unit in units)
    item.PhysicalDeltaX, item.PhysicalDeltaY = delta or (1.0, 1.0)
    return item


def _set_size(dataset: Any, pixels: np.ndarray) -> None:
    dataset.SamplesPerPixel = 1 if pixels.ndim == 3 else 3
    if len(pixels) > 1:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[1:3]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if pixels.ndim == 4:
        dataset.PlanarConfiguration = 0


def _set_pixels(dataset: Any, pixels: np.ndarray, syntax: Syntax, quality: int) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

    grey = pixels.ndim == 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if grey else "RGB"
    if syntax == "native":
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = pixels.tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
    elif syntax == "jpeg":
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        coded = [_jpeg(frame, quality) for frame in pixels]
        dataset.PixelData = encapsulate(coded)
        if not grey:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
        ratio = pixels.nbytes / sum(map(len, coded))
        dataset.LossyImageCompressionRatio = f"{ratio:.2f}"
    else:
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.PixelData = encapsulate([_rle(frame) for frame in pixels])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = syntax != "native"


def _jpeg(frame: np.ndarray, quality: int) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if frame.ndim == 3:
        frame = frame[..., ::-1]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    return cv2.imencode(".jpg", np.ascontiguousarray(frame), options)[1].tobytes()


def _rle(frame: np.ndarray) -> bytes:
    from rle import encode_pixel_data

    samples = 1 if frame.ndim == 2 else 3
    return encode_pixel_data(
        frame.tobytes(),
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=samples,
        bits_allocated=8,
        photometric_interpretation="MONOCHROME2" if samples == 1 else "RGB",
    )
