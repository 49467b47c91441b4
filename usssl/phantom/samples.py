"""Writes a folder of labelled sample cines: videos, tables of labels and gaze, saliency maps."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2

from usssl.errors import OutputError, UsageError
from usssl.phantom.records import CineOrder, is_complete, write_cine
from usssl.phantom.tables import check_collection, write_tables
from usssl.phantom.worker import WorkerError, start_worker, write_elsewhere
from usssl.progress import say, track

VideoFormat = Literal["mp4", "dicom", "both"]

KINDS = ("fetal",)
"""Kinds of samples that can be generated."""

_SUFFIXES: dict[str, tuple[str, ...]] = {"mp4": (".mp4",), "dicom": (".dcm",), "both": (".mp4", ".dcm")}
_SMALLEST = (60, 80)


def generate_samples(
    folder: str | Path,
    *,
    kind: str = "fetal",
    cines: int = 48,
    seed: int = 0,
    video_format: VideoFormat = "mp4",
    workers: int | None = None,
    size: tuple[int, int] = (240, 320),
    frames: int = 96,
) -> Path:
    """Writes sample cines with labels; a cine is written whole or not at all, and complete ones are kept.

    The folder then holds `cines/<patient>_<number>.mp4` or `.dcm`; `labels.csv` (a row a file), `frames.csv` (a row a
    frame with its plane), `gaze.csv` (a row a gaze sample, x and y from 0 to 1 across the frame),
    `saliency/<patient>_<number>.zip` and a README.md.
    Each cine is a patient of its own; patients are split into train, val and test by their number, so that more cines
    never move a patient. The same seed gives the same frames whatever the number of workers and cores.

    Args:
        folder: where to write; made if missing.
        kind: what to simulate: `fetal`.
        cines: how many.
        seed: seed of the whole collection.
        video_format: `mp4` (H.264), `dicom` (Ultrasound Multi-frame) or `both`.
        workers: processes; as many as there are cores if None.
        size: height and width of a frame, in pixels.
        frames: frames of each cine.

    Returns:
        The folder.

    Raises:
        UsageError: if an argument is impossible, or the folder holds samples made with another seed or size.
        OutputError: if the folder cannot be written.
    """
    folder = Path(folder)
    _check(kind, cines, video_format, workers, size, frames)
    try:
        (folder / "cines").mkdir(parents=True, exist_ok=True)
        (folder / "saliency").mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write samples to {folder}: {(error.strerror or str(error)).lower()}") from error
    check_collection(folder, kind=kind, seed=seed, size=size, frames=frames)
    orders = [
        CineOrder(folder, kind, seed, patient, _SUFFIXES[video_format], size, frames) for patient in range(1, cines + 1)
    ]
    missing = [order for order in orders if not is_complete(order)]
    try:
        with closing(_run(missing, _processes(workers, len(missing)))) as written:
            for _ in track(written, "Simulating cines", len(missing), "cine"):
                pass
    finally:
        # What is finished is listed even when the work is interrupted.
        write_tables(folder)
    return folder


def _check(kind: str, cines: int, video_format: str, workers: int | None, size: tuple[int, int], frames: int) -> None:
    if kind not in KINDS:
        raise UsageError(f"there are no samples of kind {kind!r}; the kinds are: {', '.join(KINDS)}")
    if video_format not in _SUFFIXES:
        raise UsageError(f"samples cannot be written as {video_format!r}; the formats are: {', '.join(_SUFFIXES)}")
    if cines < 1:
        raise UsageError(f"cannot simulate {cines} cines; ask for 1 or more")
    if frames < 2:
        raise UsageError(f"cannot simulate a cine of {frames} frames; ask for 2 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"cannot work with {workers} processes; ask for 1 or more")
    if size[0] < _SMALLEST[0] or size[1] < _SMALLEST[1]:
        raise UsageError(
            f"cannot simulate frames of {size[0]} × {size[1]} pixels; the smallest are 60 × 80 (height × width)"
        )


def _processes(workers: int | None, jobs: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(workers or cores, jobs))


def _run(orders: Sequence[CineOrder], processes: int) -> Generator[None, None, None]:
    """Writes the cines, and yields after each."""
    if processes > 1:
        try:
            yield from _run_parallel(orders, processes)
            return
        except WorkerError:
            say("Simulating cines: worker processes cannot be started or died; going on in this process")
            orders = [order for order in orders if not is_complete(order)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for order in orders:
            write_cine(order)
            yield
    finally:
        cv2.setNumThreads(threads)


def _run_parallel(orders: Sequence[CineOrder], processes: int) -> Generator[None, None, None]:
    with ExitStack() as stack:
        workers = [stack.enter_context(start_worker()) for _ in range(processes)]
        threads = stack.enter_context(ThreadPoolExecutor(processes))
        waiting = iter(orders)
        # No more are handed out than are worked on: what is handed out is finished even after Ctrl-C.
        running = {
            threads.submit(write_elsewhere, worker, order): worker
            for worker, order in zip(workers, waiting, strict=False)
        }
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker = running.pop(future)
                future.result()
                yield
                running |= {threads.submit(write_elsewhere, worker, order): worker for order in islice(waiting, 1)}
