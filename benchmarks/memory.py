"""Memory of a loader's worker for the 1,500,000 rows of a catalogue: memory-mapped Arrow over a list of dataclasses.

A process opens the rows and forks two workers, as a loader does; both read what a loader needs of every row, in an
order of their own. A worker's memory is its proportional set size while both hold all that they touched (so that its
share of the mapped file counts), less that of a worker of a process that holds no rows. Linux only: the kernel tells.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS = 1_500_000
GOAL = 0.1
REPEATS = 5
WORKERS = 2
BATCH = 10_000
NEEDED = ("folder", "path", "id", "frames", "fps", "split")


def write_rows(path: Path, rows: int) -> None:
    """A catalogue of made-up cines with the columns that a real one has."""
    import pyarrow as pa

    from usssl.data.catalog import write_catalog
    from usssl.data.facts import FACTS

    rng = np.random.default_rng(0)
    number = pa.array(np.arange(rows))
    texts = {
        "id": pa.array([f"{value:032x}" for value in range(rows)]),
        "path": pa.array([f"study_{value // 20:06d}/series_{value % 20:02d}.dcm" for value in range(rows)]),
        "folder": pa.array(["/data/archive"]).take(pa.array(np.zeros(rows, np.int64))),
        "patient": pa.array([f"P{value // 30:016x}" for value in range(rows)]),
    }
    columns = []
    for field in FACTS:
        if field.name in texts:
            columns.append(texts[field.name])
        elif pa.types.is_string(field.type):
            columns.append(pa.array(["jpeg"]).take(pa.array(np.zeros(rows, np.int64))))
        elif pa.types.is_integer(field.type):
            columns.append(pa.array(rng.integers(20, 400, rows)).cast(field.type))
        elif pa.types.is_floating(field.type):
            columns.append(pa.array(rng.uniform(10, 60, rows)).cast(field.type))
        elif pa.types.is_boolean(field.type):
            columns.append(pa.array(np.zeros(rows, bool)))
        elif field.name == "spacing_mm":
            pair = pa.array(np.full(2 * rows, 0.3))
            columns.append(pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * rows + 1, 2, dtype=np.int32)), pair))
        else:
            columns.append(pa.nulls(rows, field.type))
    table = pa.Table.from_arrays(columns, schema=FACTS)
    split = pa.array(["train", "val", "test"]).take(pa.array(rng.integers(0, 3, rows)))
    table = table.append_column("split", split).append_column("grade", number)
    write_catalog(table, path)


def open_list(path: Path) -> list:
    """The rows as dataclasses with the same fields; equal short texts are one object, as a careful author would do."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    row_class = dataclasses.make_dataclass("Row", names)
    rows = []
    for batch in file.iter_batches(BATCH):
        columns = [
            [sys.intern(value) if isinstance(value, str) and len(value) < 16 else value for value in column.to_pylist()]
            for column in batch.columns
        ]
        rows += [row_class(*values) for values in zip(*columns, strict=True)]
    return rows


def open_arrow(path: Path):
    """The rows as usssl gives them."""
    import usssl

    return usssl.read_catalog(path)


def touch(rows: object, order: np.ndarray) -> int:
    """Reads the needed fields of every row; returns something that depends on all."""
    total = 0
    if isinstance(rows, list):
        for row in order.tolist():
            cine = rows[row]
            total += cine.frames + len(cine.path) + len(cine.id) + len(cine.folder) + len(cine.split) + (cine.fps > 0)
        return total
    columns = [rows[name].chunk(0) for name in NEEDED]
    for row in order.tolist():
        folder, path, content, frames, fps, split = (column[row].as_py() for column in columns)
        total += frames + len(path) + len(content) + len(folder) + len(split) + (fps > 0)
    return total


def proportional_bytes() -> tuple[int, int]:
    """(PSS, USS) of this process in bytes."""
    facts = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        facts[name] = int(value.split()[0]) * 1024
    return facts["Pss"], facts["Private_Clean"] + facts["Private_Dirty"]


def worker(rows: object, seed: int, count: int, barrier, results) -> None:
    total = 0 if rows is None else touch(rows, np.random.default_rng(seed).permutation(count))
    barrier.wait()  # both have touched everything
    results.put((*proportional_bytes(), total))
    barrier.wait()  # and stay while the other is measured


def measure(kind: str, path: Path, count: int) -> None:
    """In a process of its own: opens the rows, forks workers, prints their mean PSS and USS."""
    context = multiprocessing.get_context("fork")
    import pyarrow.parquet  # noqa: F401  both sides import the same

    import usssl.data  # noqa: F401

    rows = {"list": open_list, "arrow": open_arrow, "nothing": lambda _: None}[kind](path)
    barrier, results = context.Barrier(WORKERS), context.SimpleQueue()
    processes = [context.Process(target=worker, args=(rows, seed, count, barrier, results)) for seed in range(WORKERS)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    pss, uss, totals = zip(*found, strict=True)
    print(statistics.mean(pss), statistics.mean(uss), totals[0])


def main() -> None:
    if not Path("/proc/self/smaps_rollup").is_file():
        sys.exit("benchmarks/memory.py needs Linux: other systems do not tell how memory is shared")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.parquet"
        os.environ["USSSL_CACHE"] = folder
        write_rows(path, arguments.rows)
        open_arrow(path)  # the Arrow file is made on the first reading
        ratios, private = [], []
        for _ in range(arguments.repeats):
            got = {kind: run(kind, path, arguments.rows) for kind in ("nothing", "list", "arrow")}
            if got["list"][2] != got["arrow"][2]:
                sys.exit("the two sides read different rows")
            ours, theirs = (got[kind][0] - got["nothing"][0] for kind in ("arrow", "list"))
            print(f"a worker: list {theirs / 2**20:.0f} MiB, memory-mapped {ours / 2**20:.0f} MiB", flush=True)
            ratios.append(ours / theirs)
            private.append((got["arrow"][1] - got["nothing"][1]) / (got["list"][1] - got["nothing"][1]))
    print(f"of that private to the worker: ratio {statistics.median(private):.4f}")
    ratio = statistics.median(ratios)
    print(f"RATIO memory {ratio:.4f} goal <={GOAL}")
    sys.exit(ratio > GOAL)


def run(kind: str, path: Path, count: int) -> tuple[float, float, int]:
    command = [sys.executable, __file__, "--measure", kind, str(path), str(count)]
    pss, uss, total = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(pss), float(uss), int(total)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
