"""A DICOM header without the patient: every attribute treated by the confidentiality profile, nested ones too."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

from usssl import __version__
from usssl.cine.confidentiality import basic_profile
from usssl.cine.pseudonym import Pseudonyms

IMPLEMENTATION_UID = "2.25.302988532803821715794650330435809293410"  # a UUID (PS3.5 B.2), made once for usssl
BASIC_PROFILE = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")

_DUMMIES = {
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "PN": "REMOVED",
    "IS": "0",
    "DS": "0",
}
_NUMBERS = frozenset(["AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"])
_STANDARD_UIDS = "1.2.840.10008."
_IDENTIFYING = {
    0x00080050, 0x00080080, 0x00080081, 0x00081040, 0x00100020, 0x00100021, 0x00100030, 0x00101000, 0x00101040,
    0x00102154, 0x00200010, 0x00380010, 0x00401001,
}  # fmt: skip
# What an ultrasound image must have, empty where unknown; the profile may have removed it, or the original lacked it.
_TYPE_2 = (
    "AccessionNumber", "ImageType", "InstanceNumber", "Manufacturer", "PatientBirthDate", "PatientOrientation",
    "PatientSex", "ReferringPhysicianName", "SeriesNumber", "StudyDate", "StudyID", "StudyTime",
)  # fmt: skip
_REQUIRED_BY_NAME = {0x00080070}  # Manufacturer, type 2
_LEAST_IDENTIFIER = 3
_DEPTH = 16


def clean_header(dataset: Any, pseudonyms: Pseudonyms, identity: str, *, pixels_are_clean: bool = True) -> Any:
    """A new data set that holds what the Basic Profile lets through, and says that it was de-identified.

    Pixel data are left to `usssl.cine.dicom_pixels.set_pixels`. Where text may still stand in them, nothing is claimed:
    PatientIdentityRemoved, which speaks of attributes and pixels both (PS3.3 C.7.1.1), is NO, the Clean Pixel Data
    Option is not named, and BurnedInAnnotation is left out, which means that there may be some (C.7.6.1), unless the
    original admits to it.

    Args:
        dataset: a pydicom data set; it is only read.
        pseudonyms: of patients and UIDs, the same for all files of a run.
        identity: what tells this file from others, for the UID of an instance that has none.
        pixels_are_clean: the pixels will hold no text.

    Returns:
        A pydicom data set with file meta information but for the transfer syntax.
    """
    from pydicom.dataset import Dataset

    with silenced():
        patient = patient_of(dataset, pseudonyms)
        cleaned = _treated(dataset, pseudonyms, nested=False)
        _sweep(cleaned, _identifiers(dataset))
        cleaned.SpecificCharacterSet = "ISO_IR 192"
        cleaned.PatientName = cleaned.PatientID = patient
        cleaned.PatientIdentityRemoved = "YES" if pixels_are_clean else "NO"
        if pixels_are_clean:
            cleaned.BurnedInAnnotation = "NO"
        elif cleaned.get("BurnedInAnnotation") != "YES":
            cleaned.pop("BurnedInAnnotation", None)
        cleaned.LongitudinalTemporalInformationModified = "REMOVED"
        # LO holds at most 64 characters a value.
        cleaned.DeidentificationMethod = [
            f"usssl {__version__}",
            basic_profile().edition,
            "pixels outside the sector blacked" + ("" if pixels_are_clean else "; text within it may remain"),
        ]
        codes = []
        for value, meaning in (BASIC_PROFILE, CLEAN_PIXELS) if pixels_are_clean else (BASIC_PROFILE,):
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
            codes.append(item)
        cleaned.DeidentificationMethodCodeSequence = codes
        if not cleaned.get("SOPInstanceUID"):
            cleaned.SOPInstanceUID = pseudonyms.uid(identity)
        for keyword in _TYPE_2:
            if keyword not in cleaned:
                setattr(cleaned, keyword, None)
        cleaned.file_meta = _file_meta(cleaned)
    return cleaned


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keeps libraries from warning and logging: their messages quote the values that they are about."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = before


def patient_of(dataset: Any, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a data set's patient; that of an unknown patient where it names none."""
    keywords = ("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID")
    return pseudonyms.patient(*(" ".join(_texts(dataset, keyword)) for keyword in keywords)) or "UNKNOWN"


def _treated(dataset: Any, pseudonyms: Pseudonyms, nested: bool, depth: int = 0) -> Any:
    from pydicom.dataset import Dataset

    cleaned = Dataset()
    for tag in sorted(map(int, dataset.keys())):
        if tag >> 16 in (0x0000, 0x0002, 0x7FE0):
            continue
        try:
            element = _treated_element(dataset, tag, pseudonyms, nested, depth)
        except Exception:  # noqa: S112 — a value that cannot even be read is not worth the risk
            continue
        if element is not None:
            cleaned.add(element)
    return cleaned


def _treated_element(dataset: Any, tag: int, pseudonyms: Pseudonyms, nested: bool, depth: int) -> Any:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import DataElement
    from pydicom.sequence import Sequence

    if not dictionary_has_tag(tag):
        return None
    element = dataset[tag]
    if element.VR not in dictionary_VR(tag).replace(" or ", " ").split():
        return None
    action = basic_profile().action(tag, element.VR, nested)
    if action == "remove":
        return None
    if action == "items":
        if element.VR != "SQ" or depth >= _DEPTH:
            return None
        items = [_treated(item, pseudonyms, nested=True, depth=depth + 1) for item in element.value]
        return DataElement(tag, "SQ", Sequence(item for item in items if len(item)))
    if action == "uid":
        return DataElement(tag, "UI", _other_uids(element.value, pseudonyms))
    if action == "empty":
        return DataElement(tag, element.VR, "" if element.VR != "SQ" else Sequence())
    if action == "dummy":
        return DataElement(tag, element.VR, _DUMMIES.get(element.VR, "REMOVED"))
    return DataElement(tag, element.VR, _plain_value(element))


def _other_uids(value: Any, pseudonyms: Pseudonyms) -> Any:
    """The UIDs of a value, each another but those that the standard itself registers."""
    several = not isinstance(value, str) and value is not None
    uids = [str(uid).strip(" \0") for uid in (value if several else [value or ""])]
    # A registered UID has few digits; one that is made to look so could carry anything.
    kept = re.compile(re.escape(_STANDARD_UIDS) + r"[0-9.]{1,30}")
    others = [uid if not uid or kept.fullmatch(uid) else pseudonyms.uid(uid) for uid in uids]
    return others if several else others[0]


def _plain_value(element: Any) -> Any:
    """The value of an element that stays, refused unless it is what its kind says.

    Raises:
        ValueError: if it is not.
    """
    if element.VR in _NUMBERS:
        for part in _parts(element.value):
            float(part)
        return element.value
    if element.VR == "CS":
        for part in _parts(element.value):
            if not re.fullmatch(r"[A-Z0-9_ ]{0,16}", str(part)):
                raise ValueError("not a code string")
    return element.value


def _identifiers(dataset: Any) -> set[str]:
    """Words of names and identifiers anywhere in the data set, folded, long enough to be looked for."""
    found: set[str] = set()
    for element in _elements(dataset):
        if element.VR == "PN" or int(element.tag) in _IDENTIFYING:
            for part in _parts(element.value):
                text = str(part).casefold()
                found |= {word for word in re.split(r"[\s^=,;]+", text) if len(word) >= _LEAST_IDENTIFIER}
    return found


def _sweep(cleaned: Any, identifiers: set[str]) -> None:
    """Removes what text is left that holds an identifier: names are typed into fields that are not for them."""
    for tag in [element.tag for element in cleaned]:
        element = cleaned[tag]
        if element.VR == "SQ":
            for item in element.value:
                _sweep(item, identifiers)
        elif element.VR in ("UI", *_NUMBERS):
            continue
        elif any(word in str(part).casefold() for part in _parts(element.value) for word in identifiers):
            if int(tag) in _REQUIRED_BY_NAME:
                element.value = ""
            else:
                del cleaned[tag]


def _elements(dataset: Any, depth: int = 0) -> Iterator[Any]:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112 — what cannot be read does not survive either
            continue
        if element.VR == "SQ" and depth < _DEPTH:
            for item in element.value:
                yield from _elements(item, depth + 1)
        else:
            yield element


def _texts(dataset: Any, keyword: str) -> list[str]:
    try:
        return [str(part).strip() for part in _parts(dataset.get(keyword))]
    except Exception:
        return []


def _parts(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") or hasattr(value, "family_name"):
        return [value]
    return list(value)


def _file_meta(cleaned: Any) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = cleaned.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.6.1")
    meta.MediaStorageSOPInstanceUID = cleaned.SOPInstanceUID
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"USSSL {__version__}"[:16]
    return meta
