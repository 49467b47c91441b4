"""Runs a bundle over folders of cines, several at a time, and writes tables; goes on where a killed run stopped."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from usssl import __version__
from usssl.bundle import tables
from usssl.bundle.bundle import Bundle, open_bundle
from usssl.bundle.inputs import CineFile, find_cines
from usssl.bundle.prediction import Prediction, PredictionStoppedError
from usssl.bundle.providers import CPU
from usssl.bundle.session import available_cores
from usssl.cine import Cine, open_cine, open_cine_guarded
from usssl.cine.facts import Color
from usssl.cine.video_writing import atomic_path
from usssl.errors import CineError, OutputError, UsageError, UssslError
from usssl.progress import say, track

RUN_FILE = "run.json"


@dataclass(frozen=True)
class PredictionReport:
    """What a run over folders did.

    Attributes:
        out: the folder written.
        cines: number of cines predicted, those of an earlier run that was taken up included.
        frames: their frames.
        failures: (path, reason) of each file that failed; the command line exits 1 if there is any.
        passed_over: files that are no cines.
        seconds: time of this run.
    """

    out: Path
    cines: int
    frames: int
    failures: tuple[tuple[str, str], ...]
    passed_over: int
    seconds: float

    @property
    def failed(self) -> int:
        """Number of files that failed."""
        return len(self.failures)


def predict_folder(
    bundle: Bundle,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    workers: int | None = None,
    saliency: bool = False,
    embeddings: bool = False,
    stills: bool = False,
    video: bool = False,
) -> PredictionReport:
    """Predicts every cine of folders and files.

    Writes `frames.parquet`, `cines.parquet`, `failures.csv` and `run.json`, and on request `saliency/<cine>.npz`
    and `embeddings/<cine>.npz` (each with `times` and `window`), `stills/*.png` and `videos/<cine>.mp4`. Identifiers in
    a file's header reach no output. Each cine is kept as it is done, in `parts/`: the same command run again goes on,
    and takes up new and changed files.

    Args:
        bundle: what to run.
        inputs: folders, searched by content, and files.
        out: the folder to write; made if it is missing.
        workers: cines worked on at once; one a core by default.
        saliency: also write the saliency maps.
        embeddings: also write the embeddings.
        stills: also write the best frame of each plane as PNG, cut to the ultrasound image.
        video: also write each cine as MP4 with saliency and plane names laid over it.

    Raises:
        UsageError: an input is missing, the bundle lacks what is asked for, or `out` is of another bundle.
        OutputError: `out` cannot be written.
        KeyboardInterrupt: the user stopped it; what was finished is in the tables.
    """
    started, begun = time.monotonic(), _now()
    extras = {"saliency": saliency, "embeddings": embeddings, "stills": stills, "video": video}
    job = _Job(bundle, Path(out), frozenset(name for name, asked in extras.items() if asked))
    paths = [Path(path) for path in inputs]
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be at least 1, not {workers}")
    cines, passed_over = find_cines(paths, skip=job.out)
    if not cines:
        raise UsageError(f"there are no cines in {', '.join(map(str, paths))}; give a folder with DICOM or video files")
    job.open_folder()
    arguments = {"inputs": [str(path) for path in paths], "out": str(out), "workers": workers, **extras}
    run = {**_facts(bundle), "arguments": arguments, "started": begun}
    job.write_run({**run, "state": "running"})
    todo = [cine for cine in cines if job.parts.row(cine, job.extras) is None]
    if len(todo) < len(cines):
        say(f"{len(cines) - len(todo)} of {len(cines)} cines were done before")
    failures: list[tuple[str, str]] = []
    state = "stopped"
    try:
        _work(job, todo, min(workers or available_cores(), max(1, len(todo))), failures)
        state = "done"
    finally:
        done, frames = job.assemble(cines, failures)
        seconds = time.monotonic() - started
        counts = {"cines": done, "frames": frames, "failed": len(failures), "passed_over": passed_over}
        job.write_run({**run, **counts, "state": state, "finished": _now(), "seconds": round(seconds, 3)})
    return PredictionReport(job.out, done, frames, tuple(failures), passed_over, seconds)


class _Job:
    """One run: the bundle, what is asked of it, and where it goes."""

    def __init__(self, bundle: Bundle, out: Path, extras: frozenset[str]) -> None:
        self.bundle, self.out, self.extras = bundle, out, extras
        self.outputs = _outputs(bundle, extras)
        self.parts = tables.Parts(out / "parts", bundle.metadata.usssl.sha256)

    def open_folder(self) -> None:
        """Makes the folder, and refuses one that holds the predictions of another bundle."""
        before = _read_json(self.out / RUN_FILE)
        model = before.get("bundle", {}).get("sha256", self.parts.model)
        if model != self.parts.model:
            raise UsageError(f"{self.out} holds predictions of another bundle; choose another folder or remove it")
        folders = {"saliency": "saliency", "embeddings": "embeddings", "stills": "stills", "video": "videos"}
        try:
            for name in ("parts", *(folders[extra] for extra in sorted(self.extras))):
                (self.out / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.out}: {error.strerror or error}; choose another folder") from None

    def write_run(self, facts: dict[str, Any]) -> None:
        """Writes `run.json`."""
        tables.write_text(self.out / RUN_FILE, json.dumps(facts, indent=2) + "\n")

    def predict(self, file: CineFile, bundle: Bundle, threads: int | None, should_stop: Callable[[], bool]) -> None:
        """Predicts one cine and writes its parts.

        A file over which an earlier run died is opened in a process of its own, which may crash or hang without harm.
        """
        color: Color = "rgb" if bundle.session.colour else "grey"
        with self.parts.attempt(file) as died, _opened(file.path, color, threads, guarded=died) as cine:
            prediction = bundle.predict(cine, outputs=self.outputs, should_stop=should_stop)
            self._write_extras(file, cine, prediction)
            frames = tables.frame_rows(cine.id, file.name, prediction)
            self.parts.write(file, frames, tables.cine_row(cine.id, file.name, prediction), self.extras)

    def assemble(self, cines: Sequence[CineFile], failures: Sequence[tuple[str, str]]) -> tuple[int, int]:
        """Writes the tables of all that is done; returns the number of cines and of frames."""
        facts = self.bundle.metadata.usssl
        rows = {cine: row for cine in cines if (row := self.parts.row(cine, self.extras)) is not None}
        nothing = tables.frame_rows("", "", tables.empty_prediction(facts.classes, self.outputs))
        frames = tables.write_frames(self.out / "frames.parquet", map(self.parts.frames, rows), nothing)
        tables.write_cines(self.out / "cines.parquet", list(rows.values()), facts.classes, facts.planes, self.outputs)
        tables.write_failures(self.out / "failures.csv", failures)
        return len(rows), frames

    def _write_extras(self, file: CineFile, cine: Cine, prediction: Prediction) -> None:
        arrays = {"saliency": prediction.saliency, "embeddings": prediction.embedding}
        for folder, key in (("saliency", "saliency"), ("embeddings", "embedding")):
            values = arrays[folder]
            if folder in self.extras and values is not None:
                with atomic_path(self.out / folder / f"{cine.id}.npz") as temporary, temporary.open("wb") as stream:
                    facts: dict[str, Any] = {
                        key: values,
                        "times": prediction.times,
                        "window": np.array(prediction.window),
                    }
                    np.savez(stream, allow_pickle=False, **facts)
        if self.extras & {"stills", "video"}:
            from usssl.bundle.pictures import image_part, write_overlay, write_stills

            part = image_part(file.path)
            if "stills" in self.extras:
                write_stills(self.out / "stills", cine, prediction, part)
            if "video" in self.extras:
                write_overlay(self.out / "videos" / f"{cine.id}.mp4", cine, prediction, part)


def _outputs(bundle: Bundle, extras: frozenset[str]) -> list[str]:
    """The outputs of the bundle that the tables and the extras need."""
    needs = {"saliency": "saliency", "embeddings": "embedding", "stills": "plane_probs"}
    for extra, output in needs.items():
        if extra in extras and output not in bundle.outputs:
            raise UsageError(f"the bundle {bundle.path} gives no {output}, which --{extra} needs")
    wanted = {"plane_probs", "cine_probs"} | {needs[extra] for extra in extras if extra in needs}
    if "video" in extras:
        wanted.add("saliency")
    outputs = [name for name in bundle.outputs if name in wanted]
    if not outputs:
        asked = " or ".join(f"--{extra}" for extra, output in needs.items() if output in bundle.outputs)
        raise UsageError(f"the bundle {bundle.path} gives no class probabilities; ask for {asked}")
    return outputs


def _opened(path: Path, color: Color, threads: int | None, guarded: bool) -> Cine:
    return open_cine_guarded(path, color=color) if guarded else open_cine(path, color=color, threads=threads)


def _work(job: _Job, todo: Sequence[CineFile], workers: int, failures: list[tuple[str, str]]) -> None:
    """Predicts the cines, and notes those that fail.

    Cines side by side use the cores better than the threads of one model call do, for decoding then overlaps, too.
    """
    bundle, cores = job.bundle, available_cores()
    if todo and bundle.session.provider == CPU and bundle.session.threads != max(1, cores // workers):
        bundle = open_bundle(bundle.path, device="cpu", threads=max(1, cores // workers))
    stop = threading.Event()

    def outcome(cine: CineFile) -> tuple[CineFile, str]:
        try:
            job.predict(cine, bundle, None if workers == 1 else 1, stop.is_set)
        except (OutputError, PredictionStoppedError):
            raise
        except CineError as error:
            return cine, error.reason
        except UssslError as error:
            return cine, str(error)
        except Exception as error:  # one file must not end a night's run
            return cine, f"unexpected {type(error).__name__}: {error}"
        return cine, ""

    with ThreadPoolExecutor(workers, thread_name_prefix="predict") as pool:
        try:
            for cine, reason in track(_finished(pool, outcome, todo, workers), "Predicting", len(todo), "cine"):
                if reason:
                    failures.append((cine.name, reason))
                    say(f"failed: {cine.name}: {reason}")
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _finished(
    pool: ThreadPoolExecutor,
    outcome: Callable[[CineFile], tuple[CineFile, str]],
    todo: Sequence[CineFile],
    workers: int,
) -> Iterator[tuple[CineFile, str]]:
    """Outcomes as they come, with a few cines waiting."""
    waiting = iter(todo)
    running: set[Future[tuple[CineFile, str]]] = set()
    while True:
        running.update(pool.submit(outcome, cine) for cine in islice(waiting, 2 * workers - len(running)))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _facts(bundle: Bundle) -> dict[str, Any]:
    """What made the predictions: versions, hashes, machine."""
    packages = ("numpy", "onnxruntime-gpu", "onnxruntime", "av", "pydicom", "opencv-python-headless", "pyarrow")
    versions = {name: version for name in packages if (version := _version(name))}
    facts = bundle.metadata.usssl
    return {
        "usssl": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "provider": bundle.session.provider,
        "bundle": {
            "path": str(bundle.path),
            "name": bundle.metadata.name,
            "version": bundle.metadata.version,
            "sha256": facts.sha256,
            "task": list(facts.task),
            "classes": list(facts.classes),
        },
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
