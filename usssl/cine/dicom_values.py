"""Single values of a DICOM header.

pydicom converts a value when it is asked for, by rules for every kind of value and character set. For the short plain
ones that open a cine this takes longer than reading the header, so they are read from their bytes; whatever is not
plain goes to pydicom.
"""

from __future__ import annotations

import functools
from typing import Any

_TEXT = frozenset(("CS", "DS", "LO"))


def value_of(dataset: Any, keyword: str) -> Any:
    """The value of an attribute as pydicom gives it, or a plain int or str that stands for the same.

    Args:
        dataset: the pydicom data set.
        keyword: of the attribute.

    Returns:
        The value; None where the attribute is absent or empty.

    Raises:
        Exception: what pydicom raises where the bytes are damaged.
    """
    tag, vr = _attribute(keyword)
    element = dataset.get_item(tag, keep_deferred=True)
    if element is None:
        return None
    data = element.value
    if type(data) is bytes and element.VR in (vr, None):  # None in implicit VR
        if vr == "US":
            if len(data) == 2:
                return int.from_bytes(data, "little" if element.is_little_endian else "big")
        elif data.isascii() and b"\\" not in data and b"\x1b" not in data:
            text = data.decode("ascii").strip(" \0")
            if vr in _TEXT or (vr == "IS" and text.isdigit()):
                return text or None
    return dataset.get(keyword)


@functools.cache
def _attribute(keyword: str) -> tuple[Any, str]:
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword))
    return tag, dictionary_VR(tag)
