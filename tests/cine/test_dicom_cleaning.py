from __future__ import annotations

import io
import warnings

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.cine.identified import NUMBER, SECRETS, STUDY, identified
from usssl.cine.dicom_cleaning import clean_header, silenced
from usssl.cine.pseudonym import Pseudonyms

PSEUDONYMS = Pseudonyms(bytes(range(32)))


def written(dataset: Dataset) -> bytes:
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("secret", SECRETS)
def test_no_identifier_survives_as_bytes_in_any_encoding(secret: str) -> None:
    original, clean = identified(), clean_header(identified(), PSEUDONYMS, "x")
    content = written(clean).lower()
    original.file_meta = clean.file_meta
    assert secret.encode() in written(original).lower(), "the test's own file does not hold it"
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        assert secret.encode(encoding) not in content
    assert secret.encode()[::-1] not in content


def test_what_describes_scanner_image_and_time_stays() -> None:
    clean = clean_header(identified(), PSEUDONYMS, "x")
    assert clean.Modality == "US"
    assert clean.Manufacturer == "Examplescan"
    assert clean.ManufacturerModelName == "Sonic 7"
    assert clean.NumberOfFrames == 3
    assert float(clean.FrameTime) == 40.0
    assert clean.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.05
    assert clean.StudyDate == ""
    assert "AccessionNumber" in clean  # type 2: there, and empty
    assert not clean.AccessionNumber


def test_uids_change_and_change_alike_in_every_file_and_place() -> None:
    first, second = identified(), identified()
    second.SOPInstanceUID = STUDY + ".4"
    one, two = clean_header(first, PSEUDONYMS, "x"), clean_header(second, PSEUDONYMS, "y")
    assert one.StudyInstanceUID == two.StudyInstanceUID == PSEUDONYMS.uid(STUDY)
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == PSEUDONYMS.uid(STUDY + ".9")
    assert one.SOPClassUID == first.SOPClassUID
    assert one.SourceImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert all(UID(uid).is_valid for uid in (one.StudyInstanceUID, one.file_meta.ImplementationClassUID))


def test_it_says_how_it_was_de_identified() -> None:
    clean = clean_header(identified(), PSEUDONYMS, "x")
    assert clean.PatientIdentityRemoved == "YES"
    assert clean.BurnedInAnnotation == "NO"
    assert clean.LongitudinalTemporalInformationModified == "REMOVED"
    codes = [(item.CodeValue, item.CodingSchemeDesignator) for item in clean.DeidentificationMethodCodeSequence]
    assert codes == [("113100", "DCM"), ("113101", "DCM")]
    assert any("PS3.15" in part for part in clean.DeidentificationMethod)
    assert all(len(part) <= 64 for part in clean.DeidentificationMethod)
    assert clean.PatientName == clean.PatientID == PSEUDONYMS.patient(NUMBER)


def test_a_uid_made_to_look_registered_is_changed_too() -> None:
    dataset = identified()
    dataset.StudyInstanceUID = "1.2.840.10008." + "8812734" * 6
    assert clean_header(dataset, PSEUDONYMS, "x").StudyInstanceUID.startswith("2.25.")


def test_a_file_without_identifiers_gets_a_uid_and_an_unknown_patient() -> None:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    clean = clean_header(dataset, PSEUDONYMS, "content")
    assert clean.SOPInstanceUID == PSEUDONYMS.uid("content")
    assert clean.PatientName == "UNKNOWN"


def test_values_that_cannot_be_read_are_dropped_in_silence(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = identified()
    dataset["PatientName"].value = b"\xff\xfe SCHWARZENBERG"
    dataset.SpecificCharacterSet = "ISO_IR SCHWARZENBERG"
    caplog.clear()
    with silenced():
        stream = io.BytesIO(written(_with_meta(dataset)).replace(b"40.0", b"WALP"))  # FrameTime is no number any more
        parsed = dcmread(stream)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clean = clean_header(parsed, PSEUDONYMS, "x")
    assert "FrameTime" not in clean
    assert not [w for w in caught if "SCHWARZENBERG" in str(w.message) or "WALP" in str(w.message)]
    assert "SCHWARZENBERG" not in "".join(capfd.readouterr()) + caplog.text


def _with_meta(dataset: Dataset) -> Dataset:
    dataset.file_meta = clean_header(identified(), PSEUDONYMS, "x").file_meta
    return dataset


def test_deep_nesting_ends() -> None:
    dataset = inner = Dataset()
    for _ in range(60):
        item = Dataset()
        item.RegionSpatialFormat = 1
        inner.SequenceOfUltrasoundRegions = Sequence([item])
        inner = item
    clean = clean_header(dataset, PSEUDONYMS, "x")
    assert written(_with_class(clean))


def _with_class(dataset: Dataset) -> Dataset:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    return dataset
