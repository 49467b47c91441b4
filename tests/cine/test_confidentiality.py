from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword

from usssl.cine.confidentiality import basic_profile

# Read off PS3.15 Table E.1-1 by eye.
CODES = {
    "PatientName": "Z",
    "PatientID": "Z/D",
    "PatientComments": "X",
    "StudyInstanceUID": "U",
    "StudyDescription": "X",
    "AcquisitionDateTime": "X/Z/D",
    "SourceImageSequence": "X/Z/U*",
    "PersonName": "D",
    "ProtocolName": "X/D",
}


@pytest.mark.parametrize("keyword", CODES)
def test_codes_are_those_of_the_standard(keyword: str) -> None:
    assert basic_profile().code(tag_for_keyword(keyword)) == CODES[keyword]


def test_the_table_is_whole_and_names_its_edition() -> None:
    profile = basic_profile()
    assert profile.edition.startswith("PS3.15 20")
    # Rows of the 2024b edition by code, private attributes (a rule, not a row with a tag) aside.
    counts = {
        code: list(profile.actions.values()).count(code) for code in ("U", "X/D", "X/Z", "X/Z/D", "Z/D", "X/Z/U*")
    }
    assert counts == {"U": 54, "X/D": 22, "X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2}
    assert all(len(tag) == 8 for tag in profile.actions)


@pytest.mark.parametrize(
    ("tag", "vr", "nested", "action"),
    [
        (0x00100010, "PN", False, "dummy"),
        (0x00100010, "PN", True, "empty"),
        (0x00080020, "DA", False, "empty"),
        (0x00080022, "DA", False, "remove"),  # AcquisitionDate, X/Z, type 3 in ultrasound
        (0x00081155, "UI", True, "uid"),
        (0x00081140, "SQ", False, "items"),
        (0x00104000, "LT", False, "remove"),
        (0x00091001, "LO", False, "remove"),  # private
        (0x60020022, "LO", False, "remove"),  # an overlay's text, by group
        (0x60003000, "OW", False, "remove"),
        (0x50000022, "LO", False, "remove"),
        (0x00186011, "SQ", False, "items"),  # regions are not in the table
        (0x0018602C, "FD", True, "keep"),
        (0x00081090, "LO", False, "keep"),  # the scanner's model
        (0x00082127, "SH", False, "remove"),  # ViewName: free text that the table does not name
        (0x00182010, "UN", False, "remove"),
    ],
)
def test_actions(tag: int, vr: str, nested: bool, action: str) -> None:
    assert basic_profile().action(tag, vr, nested) == action


def test_patterns_with_digits_left_open_fit_all_groups() -> None:
    assert basic_profile().code(0x601E4000) == "X"
    assert basic_profile().code(0x50AE0123) == "X"
