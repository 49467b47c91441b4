"""A DICOM header and file with identifiers in every kind of place, for the tests of de-identification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from tests.cine import screens
from usssl.cine.dicom_pixels import set_pixels

SECRETS = (
    "schwarzenberg", "walpurgis", "8812734", "merryweather", "aloysius", "castlebridge", "19610317", "20240517",
    "mayor", "scanner-room", "55501", "examplescan private", "left kidney",
)  # fmt: skip
HIDDEN = (*SECRETS, *screens.NAME.lower().split(), "1931-02-28")
"""What no output of a folder may hold, of headers, file names and pixels."""
NAME, NUMBER, DOCTOR, TOWN = "SCHWARZENBERG^WALPURGIS", "MRN-8812734", "MERRYWEATHER^ALOYSIUS", "Castlebridge"
STUDY = "1.2.276.0.7230010.3.1.2.8812734"


def identified() -> Dataset:
    """A header with identifiers in every kind of place."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.SOPInstanceUID = STUDY + ".3"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = STUDY + ".2"
    dataset.Modality = "US"
    dataset.Manufacturer = "Examplescan"
    dataset.ManufacturerModelName = "Sonic 7"
    dataset.StudyDate, dataset.StudyTime, dataset.AcquisitionDateTime = "20240517", "101112", "20240517101112"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, "19610317"
    dataset.OtherPatientNames = "WALPURGIS^SCHWARZENBERG"
    dataset.PatientAddress = f"7 Mill Lane, {TOWN}"
    dataset.PatientComments = "niece of the mayor"
    dataset.ImageComments = f"{NAME} left kidney"
    dataset.ReferringPhysicianName, dataset.InstitutionName = DOCTOR, f"{TOWN} Infirmary"
    dataset.StationName, dataset.DeviceSerialNumber = "SCANNER-ROOM-4", "SN-55501"
    dataset.SoftwareVersions = "2.1 for Schwarzenberg"  # a retained attribute that holds the name
    dataset.ViewName = "Walpurgis 4CH"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "SCHWARZENBERG"]
    dataset.NumberOfFrames, dataset.FrameTime = 3, "40.0"
    request = Dataset()
    request.RequestedProcedureDescription = f"scan of {NUMBER}"
    request.ReferencedStudySequence = Sequence([Dataset()])
    request.ReferencedStudySequence[0].ReferencedSOPInstanceUID = STUDY
    dataset.RequestAttributesSequence = Sequence([request])
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = dataset.SOPClassUID, STUDY + ".9"
    source.add_new(0x00091001, "LO", NUMBER)
    dataset.SourceImageSequence = Sequence([source])
    region = Dataset()
    region.RegionSpatialFormat, region.PhysicalDeltaX = 1, 0.05
    region.add_new(0x00104000, "LT", NAME)
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    dataset.add_new(0x00090010, "LO", "EXAMPLESCAN PRIVATE")
    dataset.add_new(0x00091001, "UN", NAME.encode())
    dataset.add_new(0x60000022, "LO", f"overlay of {NAME}")
    dataset.add_new(0x50002600, "LO", NAME)
    dataset.add_new(0x00181234, "LO", NAME)  # no attribute of the standard
    dataset.add(DataElement(0x00282110, "LO", NAME, already_converted=True))  # LossyImageCompression, of a wrong kind
    return dataset


def write_dicom_file(path: Path, instance: str, frames: int = 8) -> np.ndarray:
    """An identified DICOM cine with a name in its pixels; returns the text's pixels."""
    pixels, _, text = screens.scanner_screen(frames)
    dataset = identified()
    dataset.SOPInstanceUID = f"{STUDY}.{instance}"
    dataset.file_meta = _meta(dataset)
    del dataset[0x00282110]  # of a wrong kind, which pydicom refuses to write beside pixels
    set_pixels(dataset, lambda: pixels, 1)
    dataset.save_as(path, enforce_file_format=True)
    return text


def _meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.SourceApplicationEntityTitle = "WALPURGIS_AE"
    return meta
