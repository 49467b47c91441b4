"""The catalogue: a Parquet table with a row a cine; its reading and writing.

In memory it is a memory-mapped Arrow table: Parquet must be decoded, so each catalogue is turned once into an Arrow
file in the cache, and every process that reads it shares the same pages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from usssl.data.cache import cache_folder, replace_whole
from usssl.data.facts import reader_version
from usssl.errors import CatalogError, OutputError

FORMAT = "usssl catalogue 1"
_ROWS_PER_GROUP = 65536
_REPEATED = (
    *("folder", "container", "codec", "transfer_syntax", "pixel_format", "modality", "manufacturer", "timing"),
    *("patient", "split"),
)


def cine_path(row: Mapping[str, Any]) -> Path:
    """The file of a catalogue row."""
    return Path(row["folder"]) / row["path"]


def write_catalog(table: pa.Table, path: Path) -> None:
    """Writes a catalogue whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    described = table.replace_schema_metadata({"usssl": FORMAT, "usssl reader": reader_version()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as partial:
            pq.write_table(described, partial, row_group_size=_ROWS_PER_GROUP, compression="zstd")
    except OSError as error:
        raise OutputError(
            f"cannot write the catalogue {path}: {error.strerror or error}; choose a folder that you can write to"
        ) from error


def read_catalog(path: str | Path) -> pa.Table:
    """The catalogue as a memory-mapped Arrow table.

    Args:
        path: the Parquet file that `usssl index` wrote.

    Raises:
        CatalogError: the file is missing, damaged, or not a catalogue.
    """
    return open_mapped(map_catalog(Path(path)))


def map_catalog(path: Path) -> Path:
    """The Arrow file of a catalogue in the cache, written on first use; the name is the catalogue's hash."""
    mapped = cache_folder("catalogs") / f"{catalog_hash(path)}.arrow"
    if not mapped.is_file():
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
            raise CatalogError(
                f"{path} is not a catalogue ({str(error).splitlines()[0]}): make it with `usssl index`"
            ) from error
        _check(table, path)
        with replace_whole(mapped) as partial:
            write_mapped(short_strings(table), partial)
    return mapped


def catalog_hash(path: Path) -> str:
    """The first 32 hexadecimal digits of the file's SHA-256.

    Raises:
        CatalogError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise CatalogError(f"cannot read the catalogue {path}: {error.strerror}; make it with `usssl index`") from error


def short_strings(table: pa.Table) -> pa.Table:
    """The table with each often repeated text as a number that points into a list of texts; it reads the same."""
    for name in set(_REPEATED) & set(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table.unify_dictionaries()


def plain_strings(table: pa.Table) -> pa.Table:
    """The table without such numbers."""
    for place, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(place, column.name, table[column.name].cast(column.type.value_type))
    return table


def write_mapped(table: pa.Table, path: Path) -> None:
    """Writes an Arrow file in one batch, so that a row is found without a search through chunks."""
    table = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, table.num_rows))


def open_mapped(path: Path) -> pa.Table:
    """The table of an Arrow file; its pages are read when they are touched.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(os.fspath(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{path} is missing or damaged ({str(error).splitlines()[0]}): make it again") from error


def _check(table: pa.Table, path: Path) -> None:
    if (table.schema.metadata or {}).get(b"usssl") != FORMAT.encode():
        raise CatalogError(f"{path} is a Parquet file, but not a catalogue: make one with `usssl index`")
