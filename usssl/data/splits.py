"""Train, validation and test by patient, stable when data is added, and never with the same content on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from usssl.errors import CatalogError, UsageError

SPLITS = ("train", "val", "test")
WITHHELD = "withheld"
_SPELLINGS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """The fractions of train, val and test, if they are three, none negative, and sum to 1.

    Raises:
        UsageError: they are not.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(f"split {tuple(fractions)} is not three fractions (train, val, test) that sum to 1")
    train, val, test = fractions
    return train, val, test


def split_of(key: str, fractions: Sequence[float]) -> str:
    """The split of a patient, from a hash of the patient's key alone: others may come and go without moving it.

    Args:
        key: the patient's pseudonym, or the content id of a cine of unknown patient.
        fractions: of train, val and test; they sum to 1.
    """
    digest = hashlib.sha256(b"usssl split\0" + key.encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < fractions[0]:
        return "train"
    return "val" if place < fractions[0] + fractions[1] else "test"


def stated_split(value: object) -> str | None:
    """The split that a label file states, or None where it states none ("", "example", …)."""
    return _SPELLINGS.get(str(value).strip().lower()) if value is not None else None


def joined_keys(keys: Sequence[Collection[str]]) -> list[str | None]:
    """One key a cine, the same for all cines that a chain of shared keys connects; None for a cine without any.

    Args:
        keys: what each cine says of whom it shows: the pseudonyms of its file and of its labels.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent.get(above, above)
            key = above
        return key

    for own in keys:
        roots = sorted(root(key) for key in own)
        for other in roots[1:]:
            parent[other] = roots[0]
    return [root(min(own)) if own else None for own in keys]


def assign_splits(
    ids: Sequence[str],
    patients: Sequence[str | None],
    stated: Sequence[str | None],
    fractions: Sequence[float],
    paths: Sequence[str],
) -> list[str]:
    """A split for each cine: what the labels state of its patient, else by hash of the patient, or of the content.

    Args:
        ids: content ids.
        patients: one key a patient, None where unknown.
        stated: what the labels state.
        fractions: of train, val and test.
        paths: the files, for messages.

    Raises:
        CatalogError: a patient is stated to be in two splits.
    """
    by_patient: dict[str, tuple[str, str]] = {}
    for patient, split, path in zip(patients, stated, paths, strict=True):
        if patient is None or split is None:
            continue
        other, witness = by_patient.setdefault(patient, (split, path))
        if other != split:
            raise CatalogError(
                f"the labels put {witness} in {other!r} and {path} in {split!r}, but both show one patient: "
                f"give each patient one split, and different patients different names"
            )
    return [
        by_patient[patient][0] if patient in by_patient else own or split_of(patient or content, fractions)
        for content, patient, own in zip(ids, patients, stated, strict=True)
    ]


def find_duplicates(ids: Sequence[str], first: Mapping[str, int] | None = None) -> list[int | None]:
    """For each cine, the row that holds the same content and counts, or None if it is that row itself.

    Args:
        ids: content ids, in catalogue order; the first of equals counts.
        first: rows that counted in an earlier catalogue, by content id; they keep counting.
    """
    counts: dict[str, int] = dict(first or {})
    for row, content in enumerate(ids):
        counts.setdefault(content, row)
    return [None if counts[content] == row else counts[content] for row, content in enumerate(ids)]


def withhold_leaks(splits: Sequence[str], duplicates: Sequence[int | None]) -> list[str | None]:
    """The splits, with None for each duplicate whose original is in another split: it takes no part in anything."""
    return [
        split if original is None or splits[original] == split else None
        for split, original in zip(splits, duplicates, strict=True)
    ]


def count_splits(splits: Sequence[str | None]) -> dict[str, int]:
    """How many cines each split has; "withheld" counts those without."""
    counts = dict.fromkeys(SPLITS, 0)
    for split in splits:
        counts[split or WITHHELD] = counts.get(split or WITHHELD, 0) + 1
    return counts
