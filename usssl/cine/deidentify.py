"""De-identify a folder of cines: clean DICOM and video, a review sheet, a list of what failed.

By the Basic Application Level Confidentiality Profile with the Clean Pixel Data Option of DICOM PS3.15. Nothing that is
written, said or named holds an original identifier: files are named by keyed hashes of their content, and reasons for
failures do not quote them. What failed is told by path to the caller alone. A file over whose image text may remain is
held back unless it is asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from usssl import __version__
from usssl.cine.cine import Cine
from usssl.cine.confidentiality import basic_profile
from usssl.cine.content_hash import content_hash
from usssl.cine.deidentify_file import Cleaned, HeldBackError, clean_file
from usssl.cine.deidentify_report import Failure, Report, summary, write_failures, write_table
from usssl.cine.dicom_cleaning import silenced
from usssl.cine.guarded import open_cine_guarded
from usssl.cine.opening import open_cine
from usssl.cine.pseudonym import Pseudonyms, refuse_key_inside
from usssl.cine.review_sheet import write_review
from usssl.cine.video_writing import atomic_path
from usssl.errors import CineError, OutputError, UsageError
from usssl.progress import say, track

_NOT_CINES = frozenset((
    ".txt", ".md", ".csv", ".tsv", ".json", ".yaml", ".yml", ".xml", ".html", ".htm", ".pdf", ".log", ".ini", ".toml",
    ".py", ".m", ".docx", ".xlsx", ".parquet", ".sha256",
))  # fmt: skip
_RECORDS = ".review"
_STALE_SECONDS = 3600.0


def deidentify_folder(
    folder: str | Path,
    out: str | Path,
    *,
    key: str | Path | None = None,
    workers: int | None = None,
    show_original: bool = False,
    keep_doubtful: bool = False,
    trust_search: bool = False,
    guarded: bool = True,
) -> Report:
    """Writes a clean copy of every cine of a folder; a call that was cut short picks up where it stopped.

    Args:
        folder: searched with its subfolders; links are not followed, hidden files not read.
        out: the folder of outputs, made if missing: `<patient>/<file>.dcm`, `.mp4` or `.png`, `review.html`,
            `look.csv` with the files in which text over the image may remain, `failures.csv` with what was not written.
        key: the pseudonym key file; see `usssl.cine.pseudonym.key_path`.
        workers: files at a time; one a core where None.
        show_original: show in the review sheet what was removed.
        keep_doubtful: write files in which text over the image may remain, too, for a person to look at; without it
            they are held back, and listed with the failures.
        trust_search: let a still, which nothing proves free of faint text, claim clean pixels where none was found.
        guarded: decode each file in a process of its own, which a damaged file may hang or kill without harm; it costs
            about a second a file.

    Raises:
        UsageError: if the folder is missing, or the key lies in the output.
        OutputError: if the output cannot be written, or was begun with another key or other settings; only what
            was held back may be asked for later.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one that holds cines")
    if folder.resolve() == out.resolve():
        raise UsageError(f"the output {out} is the folder of the originals; name another")
    refuse_key_inside(key, out)
    pseudonyms = Pseudonyms.from_file(key)
    _begin(out, pseudonyms, show_original, keep_doubtful, trust_search)
    found, ignored = _files(folder, out)
    clean = partial(
        clean_file,
        out=out,
        pseudonyms=pseudonyms,
        show_original=show_original,
        keep_doubtful=keep_doubtful,
        trust_search=trust_search,
    )
    run = _Run(out, pseudonyms, clean, open_cine_guarded if guarded else open_cine)
    with silenced():
        failures = list(run.work(found, workers or os.cpu_count() or 1))
    failures.sort(key=lambda failure: failure.number)
    write_failures(out, failures)
    cleaned = _records(out)
    write_table(out / "look.csv", ["file"], [[one.file] for one in cleaned if not one.searched])
    review = write_review(out, cleaned, show_original)
    report = Report(
        out=out,
        review=review,
        written=run.written,
        already=run.already,
        ignored=ignored,
        unsearched=sum(not one.searched for one in cleaned),
        failures=tuple(failures),
    )
    say(summary(report))
    return report


class _Run:
    """The work on one folder, several files at a time."""

    def __init__(
        self, out: Path, pseudonyms: Pseudonyms, clean: Callable[[Cine, str], Cleaned], open_: Callable[[Path], Cine]
    ) -> None:
        self._out, self._pseudonyms, self._clean_file, self._open = out, pseudonyms, clean, open_
        self.written = self.already = 0

    def work(self, paths: list[Path], workers: int) -> Iterator[Failure]:
        progress = track(range(len(paths)), "De-identifying", unit="file")
        waiting = iter(enumerate(paths, start=1))
        running: dict[Future[bool], tuple[int, Path]] = {}
        with ThreadPoolExecutor(workers) as pool:
            try:
                for _ in progress:
                    while len(running) < 2 * workers and (item := next(waiting, None)) is not None:
                        running[pool.submit(self._clean, item[1])] = item
                    done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
                    number, path = running.pop(done)
                    failure = self._outcome(done, number, path)
                    if failure is not None:
                        yield failure
            finally:
                pool.shutdown(cancel_futures=True)

    def _outcome(self, done: Future[bool], number: int, path: Path) -> Failure | None:
        try:
            if done.result():
                self.written += 1
            else:
                self.already += 1
        except OutputError:
            raise
        except CineError as error:
            return Failure(path, number, error.reason, held_back=isinstance(error, HeldBackError))
        except MemoryError:
            return Failure(path, number, "it needs more memory than there is")
        except Exception as error:  # untrusted input: whatever a library raises is a reason to list, not to stop
            return Failure(path, number, f"it cannot be de-identified ({type(error).__name__}: {error})")
        return None

    def _clean(self, path: Path) -> bool:
        """Whether the file was written now rather than before."""
        identity = self._pseudonyms.of("file", content_hash(path))
        record = self._out / _RECORDS / f"{identity}.json"
        if _is_done(self._out, record):
            return False
        with self._open(path) as cine:
            cleaned = self._clean_file(cine, identity)
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps(cleaned.as_dict()), encoding="utf-8")
        return True


def _begin(out: Path, pseudonyms: Pseudonyms, show_original: bool, keep_doubtful: bool, trust_search: bool) -> None:
    """Makes the output folder, or checks that what is in it was made as it would be now."""
    made = {
        "usssl": __version__,
        "profile": basic_profile().edition,
        "key": pseudonyms.key_id,
        "originals_in_review": show_original,
        "keep_doubtful": keep_doubtful,
        "trust_search": trust_search,
    }
    note = out / "deidentify.json"
    try:
        (out / _RECORDS).mkdir(parents=True, exist_ok=True)
        before = json.loads(note.read_text(encoding="utf-8")) if note.exists() else made
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot use {out} for outputs: {error}") from None
    settings = {
        "key": "another key",
        "originals_in_review": "another setting for originals in the review",
        "keep_doubtful": "another setting for files in which text may remain",
        "trust_search": "another setting for stills in which no text was found",
    }
    # Files that were held back are not there, so a call that writes them may follow one that did not.
    added = () if before.get("keep_doubtful") else ("keep_doubtful", "trust_search")
    for item, what in settings.items():
        if before.get(item) != made[item] and not (item in added and made[item]):
            raise OutputError(f"{out} was begun with {what}; name a new folder")
    _remove_stale(out)
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _remove_stale(out: Path) -> None:
    """Removes what a call that was killed left half written; not what another call may be writing now."""
    for path in out.rglob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def _files(folder: Path, out: Path) -> tuple[list[Path], int]:
    """The files that may be cines, in order, and how many others there are."""
    found, ignored, inside = [], 0, out.resolve()
    for parent, folders, names in os.walk(folder):
        place = Path(parent)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (place / n).resolve() != inside)
        for name in sorted(names):
            path = place / name
            if name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            if path.suffix.lower() in _NOT_CINES:
                ignored += 1
            else:
                found.append(path)
    return found, ignored


def _is_done(out: Path, record: Path) -> bool:
    try:
        return (out / json.loads(record.read_text(encoding="utf-8"))["file"]).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _records(out: Path) -> list[Cleaned]:
    return [Cleaned(**json.loads(p.read_text(encoding="utf-8"))) for p in sorted((out / _RECORDS).glob("*.json"))]
