"""DICOM files put together byte by byte or with pydicom, for what `write_dicom` does not write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import UID, ExplicitVRLittleEndian

ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def dicom(rows: int, columns: int, frames: int | None, photometric: str = "MONOCHROME2", **tags: object) -> Dataset:
    """A data set without pixels."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4", "US"
    ds.PatientID, ds.PatientName = "ID-4711", "Doe^Jane"
    ds.Rows, ds.Columns, ds.PhotometricInterpretation = rows, columns, photometric
    if frames is not None:
        ds.NumberOfFrames = frames
    ds.SamplesPerPixel = 1 if photometric.startswith(("MONO", "PAL")) else 3
    if ds.SamplesPerPixel == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def save(
    path: Path, ds: Dataset, pixels: bytes | list[bytes], syntax: str = ExplicitVRLittleEndian, **how: bool
) -> Path:
    """Writes `ds` with pixel data: native from bytes, encapsulated from a list of frames."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    if isinstance(pixels, list):
        if how.get("extended"):
            ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(pixels)
        else:
            ds.PixelData = encapsulate(pixels, has_bot=how.get("has_bot", True))
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def item(data: bytes) -> bytes:
    """One item of encapsulated pixel data."""
    return ITEM + struct.pack("<I", len(data)) + data


def with_pixel_items(path: Path, ds: Dataset, syntax: str, body: bytes) -> Path:
    """Writes `ds` with the very bytes `body` as the value of undefined-length pixel data."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.save_as(path, enforce_file_format=True)
    with path.open("ab") as stream:
        stream.write(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + body)
    return path


def color_patches(rows: int = 32, columns: int = 48) -> np.ndarray:
    """Six upright bars: red, green, blue, yellow, grey, white."""
    frame = np.zeros((rows, columns, 3), np.uint8)
    bars = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (128, 128, 128), (255, 255, 255)]
    for n, color in enumerate(bars):
        frame[:, columns * n // 6 : columns * (n + 1) // 6] = color
    return frame


def to_ybr(rgb: np.ndarray) -> np.ndarray:
    """RGB to YBR_FULL by the equations of PS3.3 C.7.6.3.1.2."""
    matrix = np.array([[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5000], [0.5000, -0.4187, -0.0813]])
    return np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)
