"""From what a recipe names as its data to a prepared store: samples, folders, a catalogue, or a store as it is.

What has to be made on the way lies in the cache, under a name that its content gives, and is made once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from usssl.data.cache import cache_folder, lock_for, locked
from usssl.data.catalog import read_catalog
from usssl.data.framing import Framing, StoreColor
from usssl.data.indexing import index_folders
from usssl.data.preparing import prepare, store_key
from usssl.data.store import INDEX, Store, open_store
from usssl.errors import CatalogError, UsageError
from usssl.progress import say

SAMPLES = "samples:"
_DONE = ".done"


def resolve_source(
    source: str | Path | Sequence[str | Path],
    *,
    size: tuple[int, int],
    mask: bool | None = None,
    color: StoreColor = "grey",
    cines: int = 48,
    seed: int = 0,
    workers: int | None = None,
    note: Callable[[str], object] = lambda sentence: None,
) -> Store:
    """A store with the cines of a source, at a size; made if it is not there yet.

    Args:
        source: "samples:fetal" or "samples:fetal:24" (kind and number of cines), a folder or several, a catalogue
            (.parquet), or a prepared store.
        size: (height, width) of the frames, in pixels.
        mask: as for `prepare`; None: frames as they are, or a store that is named as it is.
        color: `grey` or `rgb`, of the frames.
        cines: number of generated samples, where the source names none.
        seed: of generated samples.
        workers: worker processes (None: one a core; 0: none).
        note: is told in a sentence how many files cannot be read or decoded, for a log.

    Raises:
        UsageError: the source is missing or holds no readable cine, or is a store of another size, colour or mask.
        CatalogError: the catalogue or store is damaged.
    """
    framing = Framing(size, bool(mask), color)
    if isinstance(source, str) and source.startswith(SAMPLES):
        return _from_folders([_samples(source, cines, seed)], framing, workers, note)
    if not isinstance(source, str | Path):
        return _from_folders([Path(folder) for folder in source], framing, workers, note)
    path = Path(source).expanduser()
    if (path / INDEX).is_file():
        store = open_store(path)
        if store.size != tuple(size):
            raise UsageError(
                f"the store {path} holds frames of {store.size[0]}x{store.size[1]} (height x width), "
                f"not {size[0]}x{size[1]}: prepare the catalogue at this size, or ask for the size of the store"
            )
        if store.color != color:
            raise UsageError(
                f"the store {path} holds {store.color} frames, not {color}: prepare the catalogue with "
                f"`usssl prepare --color {color}`, or ask for the colours of the store"
            )
        if None not in (mask, store.mask) and store.mask != mask:
            raise UsageError(
                f"the store {path} was prepared {'with' if store.mask else 'without'} --mask: prepare the catalogue "
                f"{'with' if mask else 'without'} it, or ask for the pixels of the store "
                f"(data.mask={str(store.mask).lower()} in a recipe)"
            )
        return store
    if path.is_dir():
        return _from_folders([path], framing, workers, note)
    if path.suffix == ".parquet":
        return _from_table(read_catalog(path), framing, workers, note)
    _refuse_file(path)
    raise UsageError(
        f"there is no data source {str(source)!r}: "
        f"name samples:<kind>, a folder of cines, a catalogue (.parquet) or a prepared store"
    )


def _refuse_file(path: Path) -> None:
    if path.is_file():
        raise UsageError(
            f"the data source {path} is a file: name the folder that holds it, or one catalogue (.parquet) or prepared "
            "store"
        )


def _samples(source: str, cines: int, seed: int) -> Path:
    """The folder of the samples that a source names, generated on first use."""
    from usssl.phantom import generate_samples

    kind, _, number = source.removeprefix(SAMPLES).partition(":")
    if number and not (number.isdigit() and int(number)):
        raise UsageError(f"{source!r} does not name samples: write samples:<kind> or samples:<kind>:<number of cines>")
    cines = int(number) if number else cines
    folder = cache_folder("samples") / f"{kind}-{cines}-{seed}-{_version_of_phantoms()}"
    with locked(lock_for(folder)):
        if not (folder / _DONE).is_file():
            say(f"Generating {cines} sample cines in {folder}")
            generate_samples(folder, kind=kind, cines=cines, seed=seed)
            (folder / _DONE).touch()
    return folder


def _version_of_phantoms() -> str:
    """A hash of the generator's code: samples of another version are not taken for this one's."""
    import usssl.phantom

    code = hashlib.sha256()
    for file in sorted(Path(usssl.phantom.__path__[0]).glob("*.py")):
        code.update(file.read_bytes())
    return code.hexdigest()[:12]


def _from_folders(
    folders: Sequence[Path], framing: Framing, workers: int | None, note: Callable[[str], object]
) -> Store:
    for folder in folders:
        _refuse_file(folder)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}: check the data source")
    name = hashlib.sha256("\0".join(str(folder.resolve()) for folder in folders).encode()).hexdigest()[:32]
    catalog = cache_folder("indexed") / f"{name}.parquet"
    report = index_folders(folders, catalog, workers=workers)
    where = ", ".join(map(str, folders))
    if report.cines == 0:
        reasons = f"; {_files(report.failed)} failed, see {report.failures}" if report.failed else ""
        raise UsageError(
            f"there is no readable cine in {where}{reasons}: name a folder of video, DICOM or image sequences"
        )
    if report.failed:
        sentence = f"{_files(report.failed)} of {where} cannot be read; the reasons are in {report.failures}"
        say(sentence)
        note(sentence)
    return _from_table(read_catalog(catalog), framing, workers, note)


def _from_table(table: pa.Table, framing: Framing, workers: int | None, note: Callable[[str], object]) -> Store:
    stores = cache_folder("stores")
    out = stores / store_key(table, framing)
    known = [] if out.exists() else _stores_of_law(stores, framing)
    report = prepare(table, out, **asdict(framing), known=known, workers=workers)
    if report.failed:
        sentence = f"{_files(report.failed)} cannot be decoded; the reasons are in {report.failures}"
        note(sentence)
        if not report.kept:
            say(sentence)
    return open_store(out)


def _stores_of_law(folder: Path, framing: Framing) -> list[Store]:
    """The stores in a folder whose frames were made in the same way."""
    found = []
    for index in sorted(folder.glob(f"*/{INDEX}")):
        with suppress(CatalogError):
            found.append(open_store(index.parent))
    return [store for store in found if store.law == framing.law]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
