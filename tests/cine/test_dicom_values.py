"""Values that are read from their bytes are those that pydicom gives."""

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from usssl.cine.dicom_values import value_of

STATED = {
    "Rows": 480,
    "NumberOfFrames": "12",
    "FrameTime": "33.30",
    "CineRate": "30",
    "Modality": "US",
    "Manufacturer": "Examplescan  ",
    "PatientID": "",
    "PatientName": "Müller^Ada",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "FrameIncrementPointer": 0x00181063,
    "PixelSpacing": ["0.1", "0.2"],
    "InstitutionName": "Åse",
}


def written(syntax: str, **tags: object) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_every_value_is_that_of_pydicom(syntax: str) -> None:
    found = {keyword: value_of(written(syntax, **STATED), keyword) for keyword in (*STATED, "Columns")}
    for keyword, value in found.items():
        theirs = written(syntax, **STATED).get(keyword)
        if value is None:
            assert theirs in (None, ""), keyword
        else:
            assert value == theirs or float(value) == theirs, keyword
    assert type(found["NumberOfFrames"]) is str  # read from its bytes
    assert type(found["Rows"]) is int


def test_a_number_that_is_not_plain_goes_to_pydicom() -> None:
    dataset = written(ExplicitVRLittleEndian, NumberOfFrames="12", Rows=[3, 4])
    element = dataset.get_item("NumberOfFrames")
    dataset._dict[element.tag] = element._replace(value=b"+7 ")
    assert int(value_of(dataset, "NumberOfFrames")) == 7
    assert list(value_of(dataset, "Rows")) == [3, 4]
