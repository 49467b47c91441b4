"""From the facts of cines to a catalogue: patients, duplicates, splits, labels, and where labels and facts disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from usssl.data.folders import Listing
from usssl.data.labels import LabelTable, join_frames, join_gaze, join_labels, names_a_person, read_labels
from usssl.data.splits import assign_splits, find_duplicates, joined_keys, stated_split, withhold_leaks
from usssl.errors import UsageError
from usssl.progress import say

_CHECKED = ("frames", "height", "width", "fps")
_TOLERANCE = 2e-3  # label files give rates to two or three digits


def label_tables(listing: Listing, labels: Path | None) -> dict[str, list[LabelTable]]:
    """The label files by kind. One that was found and cannot be used is reported; one that was asked for is an error.

    Args:
        listing: what was found in the folders.
        labels: a label file that takes the place of every `labels.csv` found.

    Raises:
        UsageError: `labels` cannot be used.
    """
    folders = sorted({found.folder for found in listing.found})
    tables: dict[str, list[LabelTable]] = {kind: [] for kind in listing.labels}
    for kind, paths in listing.labels.items():
        if kind == "labels.csv" and labels is not None:
            tables[kind].append(read_labels(Path(labels), kind, folders))
            continue
        for path in paths:
            try:
                tables[kind].append(read_labels(path, kind))
            except UsageError as error:
                say(f"Not used: {error}")
    person = {name for one in tables["labels.csv"] for name in one.table.column_names if names_a_person(name)}
    if person:
        say(f"Left out of the catalogue, because they may name a person: {', '.join(sorted(person))}")
    return tables


def describe(
    facts: pa.Table, tables: Mapping[str, Sequence[LabelTable]], fractions: Sequence[float], before: Path
) -> tuple[pa.Table, int]:
    """The catalogue of some cines.

    Args:
        facts: a table of the schema `FACTS`.
        tables: label files, as `label_tables` gives them.
        fractions: of train, val and test.
        before: an earlier catalogue; what counted as the original of duplicates there keeps counting.

    Returns:
        The facts and `duplicate_of`, `split`, `disagreements` and all label columns; and how many label rows name no
        cine.

    Raises:
        CatalogError: the labels put one patient in two splits.
    """
    count = facts.num_rows
    paths = facts["path"].to_pylist()
    folders = facts["folder"].to_pylist()
    catalogue = {f"{folder}/{path}": row for row, (folder, path) in enumerate(zip(folders, paths, strict=True))}
    labels, unmatched = join_labels(tables["labels.csv"], catalogue, count)
    nobody = pa.nulls(count, pa.string())
    patients, keys = _patients(facts["patient"].to_pylist(), labels.pop("patient", nobody), labels.get("group", nobody))
    stated = [stated_split(value) for value in labels.pop("split", nobody).to_pylist()]
    ids = facts["id"].to_pylist()
    duplicates = find_duplicates(ids, _originals(before, folders, paths, ids))
    splits = withhold_leaks(assign_splits(ids, keys, stated, fractions, paths), duplicates)
    originals = [None if row is None else paths[row] for row in duplicates]
    table = facts.set_column(facts.schema.get_field_index("patient"), "patient", pa.array(patients, pa.string()))
    columns: dict[str, Any] = {
        "duplicate_of": pa.array(originals, pa.string()),
        "split": pa.array(splits, pa.string()),
        "disagreements": _disagreements(facts, labels),
        **labels,
        **join_frames(tables["frames.csv"], catalogue, facts["frames"].to_numpy().astype(np.int64)),
    }
    gaze = join_gaze(tables["gaze.csv"], catalogue, count)
    if gaze is not None:
        columns["gaze"] = gaze
    for name, column in columns.items():
        if name not in table.column_names:
            table = table.append_column(name, column)
    return table, unmatched


def _patients(
    own: Sequence[str | None], labelled: pa.Array, groups: pa.Array
) -> tuple[list[str | None], list[str | None]]:
    """The pseudonym of each cine's patient, and the key by which cines stay on one side of a split.

    A label's patient counts before the file's own; both tie cines together. A group ties cines whose labels name no
    patient.
    """
    from usssl.cine.pseudonym import Pseudonyms

    pseudonyms = Pseudonyms.from_file() if labelled.null_count < len(labelled) else None
    patients: list[str | None] = []
    keys: list[set[str]] = []
    names = zip(own, pc.cast(labelled, pa.string()).to_pylist(), pc.cast(groups, pa.string()).to_pylist(), strict=True)
    for pseudonym, label, group in names:
        stated = pseudonyms.patient(label) if label is not None and pseudonyms is not None else None
        patients.append(stated or pseudonym)
        tied = f"group {group}" if group is not None and stated is None else None
        keys.append({key for key in (stated, pseudonym, tied) if key is not None})
    return patients, joined_keys(keys)


def _originals(before: Path, folders: Sequence[str], paths: Sequence[str], ids: Sequence[str]) -> dict[str, int]:
    """Rows of the cines that counted in an earlier catalogue and are still the same, by content id."""
    try:
        table = pq.read_table(before, columns=["folder", "path", "id", "duplicate_of"])
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return {}
    table = table.filter(pc.is_null(table["duplicate_of"]))
    counted = set(zip(*(table[name].to_pylist() for name in ("folder", "path", "id")), strict=True))
    rows = zip(folders, paths, ids, strict=True)
    return {key[2]: row for row, key in enumerate(rows) if key in counted}


def _disagreements(facts: pa.Table, labels: Mapping[str, pa.Array]) -> pa.Array:
    """For each cine, a sentence for each fact that its labels state otherwise."""
    found: list[list[str]] = [[] for _ in range(facts.num_rows)]
    for name in _CHECKED:
        if name not in labels or not pa.types.is_primitive(labels[name].type):
            continue
        for row, (fact, stated) in enumerate(zip(facts[name].to_pylist(), labels[name].to_pylist(), strict=True)):
            if stated is not None and (fact is None or abs(fact - stated) > _TOLERANCE * abs(stated)):
                found[row].append(
                    f"the labels say {name} {stated:g}, the file has {'none' if fact is None else f'{fact:g}'}"
                )
    return pa.array(found, pa.list_(pa.string()))
