"""A pseudonym for the patient of a DICOM file, so that no identifier leaves the reader."""

from __future__ import annotations

import hashlib
from typing import Any


def patient_of(dataset: Any) -> str | None:
    """A stable pseudonym, 16 hex digits, or None where the file names no patient.

    It stands for PatientID with its issuer, or, where that is empty, for name and birth date.

    Args:
        dataset: a pydicom data set.
    """
    parts = [_text(dataset, "PatientID"), _text(dataset, "IssuerOfPatientID")]
    if not parts[0]:
        parts = [_text(dataset, "PatientName"), _text(dataset, "PatientBirthDate")]
        if not parts[0]:
            return None
    return hashlib.sha256("\x1f".join(["usssl patient", *parts]).encode()).hexdigest()[:16]


def _text(dataset: Any, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip().casefold()
    except Exception:  # pydicom decodes names late, with any encoding that the file claims
        return ""
