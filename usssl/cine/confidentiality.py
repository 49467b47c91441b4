"""What the DICOM standard wants done with each attribute to hide who was examined: PS3.15 Table E.1-1 as data.

The table stands in `confidentiality_profile.json`, with the edition that it is of. To it come two rules of ours,
stricter than the Basic Profile, since a name can be typed into any text: text, dates and binary values that the table
does not name are removed unless they describe the scanner (`retained_text`), and so are values of a kind that their
attribute should not have.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Action = Literal["keep", "remove", "empty", "dummy", "uid", "items"]

# Type 1 and 2 attributes of the ultrasound image IODs (PS3.3 A.6, A.7 and their modules) that the table gives a
# choice for.
_REQUIRED = {
    "00080020": "empty", "00080023": "empty", "00080030": "empty", "00080033": "empty", "00080050": "empty",
    "00080090": "empty", "00100010": "dummy", "00100020": "dummy", "00100030": "empty", "00100040": "empty",
    "00200010": "empty",
}  # fmt: skip
_TEXT_OR_BINARY = frozenset(
    (
        "AE",
        "AS",
        "DA",
        "DT",
        "TM",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "UC",
        "UR",
        "UT",
        "UN",
        "OB",
        "OW",
        "OF",
        "OD",
        "OL",
        "OV",
    )
)


@dataclass(frozen=True)
class Profile:
    """The table.

    Attributes:
        edition: of the standard.
        actions: codes of the Basic Profile by tag, eight hexadecimal digits; `x` stands for any digit.
        retained: tags of text that describes the scanner.
    """

    edition: str
    actions: dict[str, str]
    retained: frozenset[str]

    def code(self, tag: int) -> str | None:
        """The table's code for a tag, such as `X/Z`, or None where it does not name it."""
        digits = f"{tag:08x}"
        return self.actions.get(digits) or self._patterns.get(digits[:2] + "xx" + digits[4:]) or self._curves(digits)

    def action(self, tag: int, vr: str, nested: bool = False) -> Action:
        """What to do with an element.

        Args:
            tag: of the element.
            vr: its value representation, such as `LO`.
            nested: it stands in an item of a sequence, where nothing is required.

        Returns:
            `keep`; `remove`; `empty` (a zero length value); `dummy` (a value that says nothing); `uid` (another UID);
            `items` (keep the sequence and treat its items).
        """
        if _is_private(tag) or _is_graphic(tag):
            return "remove"
        code = self.code(tag)
        if code is None:
            return self._unnamed(tag, vr)
        if not nested and (required := _REQUIRED.get(f"{tag:08x}")):
            return "dummy" if required == "dummy" else "empty"
        if code == "U" or vr == "UI":
            return "uid"
        if code == "X/Z/U*":
            return "items"
        if code == "K":
            return "items" if vr == "SQ" else "keep"
        # No ultrasound image requires a sequence or binary value for which a dummy would have to be made up.
        if code.startswith("X") or vr in ("SQ", "OB", "OW", "UN"):
            return "remove"
        return "dummy" if code == "D" else "empty"

    def _unnamed(self, tag: int, vr: str) -> Action:
        if vr == "SQ":
            return "items"
        if vr == "UI":
            return "uid"
        return "remove" if vr in _TEXT_OR_BINARY and f"{tag:08x}" not in self.retained else "keep"

    @functools.cached_property
    def _patterns(self) -> dict[str, str]:
        return {tag: code for tag, code in self.actions.items() if tag[2:4] == "xx"}

    def _curves(self, digits: str) -> str | None:
        return self.actions.get("50xxxxxx") if digits.startswith("50") else None


@functools.cache
def basic_profile() -> Profile:
    """The Basic Application Level Confidentiality Profile."""
    table = json.loads(files("usssl.cine").joinpath("confidentiality_profile.json").read_text(encoding="utf-8"))
    return Profile(table["edition"], table["actions"], frozenset(table["retained_text"]))


def _is_private(tag: int) -> bool:
    return bool(tag >> 16 & 1)


def _is_graphic(tag: int) -> bool:
    """Curves and overlays, retired groups 50xx and 60xx, whole: text is drawn in them."""
    return tag >> 24 in (0x50, 0x60)
