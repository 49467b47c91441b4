"""Prepare a catalogue's cines for training: decode once, crop, resize, and write shards, whole or not at all.

A store is built in `STORE.partial` and renamed when it is finished. Workers leave each cine there as a part; this
process joins parts to shards in catalogue order, so that the bytes depend neither on the number of workers nor on
interruptions.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from usssl.data.cache import lock_for, locked
from usssl.data.catalog import plain_strings, read_catalog, write_mapped
from usssl.data.framing import Framing, StoreColor
from usssl.data.indexing import write_failures
from usssl.data.part import write_part
from usssl.data.shards import Shards
from usssl.data.store import INDEX, STORE_FORMAT, Store, is_store, open_store
from usssl.data.workers import run_isolated
from usssl.errors import CatalogError, OutputError, UsageError
from usssl.progress import say, track

_TASK = "usssl.data.part:prepare_cine"
_ADDED = ("window", "shard", "offset", "times_s")
_SHARD_BYTES = 256 << 20
_ROWS_HASHED = 1 << 16


@dataclass(frozen=True)
class PrepareReport:
    """What preparing did.

    Attributes:
        store: the store.
        cines: cines in it.
        frames: frames in it; cines of equal content share theirs.
        failed: cines that could not be read.
        failures: the list of them (columns folder, path, reason), or None.
        decoded: contents that were decoded in this run.
        copied: contents that were copied from another store.
        kept: the store was there already, made from the same catalogue in the same way.
    """

    store: Path
    cines: int
    frames: int
    failed: int
    failures: Path | None
    decoded: int = 0
    copied: int = 0
    kept: bool = False


def prepare(
    catalog: str | Path | pa.Table,
    out: str | Path,
    *,
    size: tuple[int, int],
    mask: bool = False,
    color: StoreColor = "grey",
    known: Sequence[Store] = (),
    workers: int | None = None,
    seconds: float = 600.0,
    shard_bytes: int = _SHARD_BYTES,
) -> PrepareReport:
    """Writes a store; an interrupted one is finished.

    A store that is there already is kept if it was made from the same catalogue in the same way; otherwise it is
    replaced, and frames that it has in common with the new one are not decoded again.

    Args:
        catalog: a catalogue, or a part of its table.
        out: the folder to write.
        size: (height, width) of the frames, in pixels.
        mask: blacken text, traces and colour drawn over the image, and what lies outside it.
        color: `grey`, or `rgb`, which takes three times the room.
        known: other stores; frames of the same content made in the same way are copied from them.
        workers: worker processes (None: one a core; 0: none, in this process, for debugging).
        seconds: time limit for one cine.
        shard_bytes: a shard is closed before it grows past this; a cine is never divided.

    Raises:
        CatalogError: the catalogue is missing, or `out` is there and no store.
        UsageError: the size is not two positive numbers, the colour unknown, or no cine of the catalogue can be read.
        OutputError: `out` cannot be written.
    """
    framing = Framing(size, mask, color)
    table = catalog if isinstance(catalog, pa.Table) else read_catalog(catalog)
    out, key = Path(out), store_key(table, framing)
    with locked(lock_for(out)):
        before = _store_before(out)
        if before is not None and before.id == key:
            return _kept(before)
        stores = [store for store in (before, *known) if store is not None and store.law == framing.law]
        try:
            shards = Shards(out.with_name(f"{out.name}.partial"), key, shard_bytes, list(_first_rows(table)))
            copied = _copy(stores, shards)
            decoded = _decode(table, shards, framing, workers, seconds)
            report = _finish(table, shards, framing, key, out)
        except OSError as error:
            raise OutputError(
                f"cannot write the store {out}: {error.strerror or error}; choose a place that you can write to"
            ) from error
    if report.cines == 0:
        raise UsageError(f"no cine of the catalogue could be read: the reasons are in {report.failures}")
    return replace(report, copied=copied, decoded=decoded)


def store_key(table: pa.Table, framing: Framing) -> str:
    """What a store is made from, as 32 hexadecimal digits: the catalogue's rows and the way to make frames."""
    digest = hashlib.sha256(f"{STORE_FORMAT} {framing.law}".encode())
    kept = plain_strings(table.select([name for name in table.column_names if name != "mtime_ns"]))
    kept = kept.replace_schema_metadata(None)
    digest.update(str(kept.schema).encode())
    for start in range(0, kept.num_rows, _ROWS_HASHED):  # in parts of fixed length, however the table is chunked
        (batch,) = kept.slice(start, _ROWS_HASHED).combine_chunks().to_batches()
        digest.update(batch.serialize())
    return digest.hexdigest()[:32]


def _store_before(out: Path) -> Store | None:
    """The store that is there already."""
    if not out.exists():
        return None
    if not (out / INDEX).is_file():
        raise CatalogError(f"{out} exists and is not a prepared store: choose another place for the store")
    try:
        return open_store(out)
    except CatalogError as error:
        if not is_store(out):
            raise
        say(f"The store is made again: {error}")
        return None


def _kept(store: Store) -> PrepareReport:
    failures = store.path / "failures.csv"
    with failures.open(newline="", encoding="utf-8") if failures.is_file() else nullcontext(()) as file:
        failed = max(0, sum(1 for _ in csv.reader(file)) - 1)
    return PrepareReport(
        store=store.path,
        cines=len(store),
        frames=store.frames_held,
        failed=failed,
        failures=failures if failed else None,
        kept=True,
    )


def _copy(stores: Sequence[Store], shards: Shards) -> int:
    """Takes from other stores what they have of the contents that are left; the number of contents copied."""
    copied = 0
    for store in stores:
        wanted = [(row, content) for row, content in enumerate(store.table["id"].to_pylist()) if shards.lacks(content)]
        if not wanted or not _is_sound(store):
            continue
        for row, content in track(wanted, "Copying", unit="cine"):
            if shards.lacks(content):
                shards.add(content, write_part(shards.part(content), [store.frames(row)]) | store.made(row), None)
                copied += 1
    return copied


def _is_sound(store: Store) -> bool:
    try:
        store.verify()
    except CatalogError:
        return False
    return True


def _decode(table: pa.Table, shards: Shards, framing: Framing, workers: int | None, seconds: float) -> int:
    """Decodes what is not there yet, each content once; the number of contents decoded."""
    folders, paths = table["folder"], table["path"]
    first = _first_rows(table)
    left = [content for content in first if shards.lacks(content)]

    def items() -> Iterator[dict[str, Any]]:
        for content in left:
            row = first[content]
            yield {
                "folder": folders[row].as_py(),
                "path": paths[row].as_py(),
                "id": content,
                "size": list(framing.size),
                "mask": framing.mask,
                "color": framing.color,
                "part": str(shards.part(content)),
            }

    for outcome in track(
        run_isolated(_TASK, items(), workers=workers, seconds=seconds), "Preparing", total=len(left), unit="cine"
    ):
        shards.add(outcome.item["id"], outcome.result, outcome.reason)
    shards.close()
    return len(left)


def _first_rows(table: pa.Table) -> dict[str, int]:
    """The first row of each content, in catalogue order."""
    first: dict[str, int] = {}
    for row, content in enumerate(table["id"].to_pylist()):
        first.setdefault(content, row)
    return first


def _finish(table: pa.Table, shards: Shards, framing: Framing, key: str, out: Path) -> PrepareReport:
    """Writes the index, takes the parts away and gives the store its name."""
    ids = table["id"].to_pylist()
    kept = [row for row, content in enumerate(ids) if shards.reason(content) is None]
    placed = [shards.place(ids[row]) for row in kept]
    index = table.take(pa.array(kept, pa.int64()))
    index = index.drop_columns([name for name in _ADDED if name in index.column_names])
    frames = pa.array([place["frames"] for place in placed], pa.int32())
    index = index.set_column(index.schema.get_field_index("frames"), "frames", frames)
    index = index.append_column("window", pa.array([place["window"] for place in placed], pa.list_(pa.float64())))
    index = index.append_column("shard", pa.array([place["shard"] for place in placed], pa.int32()))
    index = index.append_column("offset", pa.array([place["offset"] for place in placed], pa.int64()))
    index = index.append_column("times_s", pa.array([place["times_s"] for place in placed], pa.list_(pa.float64())))
    about = {
        "format": STORE_FORMAT,
        "key": key,
        "law": framing.law,
        "size": list(framing.size),
        "color": framing.color,
        "mask": framing.mask,
        "shards": shards.written,
    }
    write_mapped(index.replace_schema_metadata({"usssl store": json.dumps(about)}), shards.folder / INDEX)
    rows = table.select(["folder", "path"]).to_pylist()
    failed = [
        {**rows[row], "reason": shards.reason(content)} for row, content in enumerate(ids) if shards.reason(content)
    ]
    listed = write_failures(failed, shards.folder / "failures.csv")
    if kept:
        shards.tidy()
        out.parent.mkdir(parents=True, exist_ok=True)
        before = out.with_name(f"{out.name}.before")
        if out.exists():
            out.replace(before)
        shards.folder.replace(out)
        shutil.rmtree(before, ignore_errors=True)
        listed = None if listed is None else out / listed.name
    return PrepareReport(
        store=out,
        cines=len(kept),
        frames=sum(shards.place(content)["frames"] for content in {ids[row] for row in kept}),
        failed=len(failed),
        failures=listed,
    )
