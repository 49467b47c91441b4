"""Join the parts that workers leave to shards, in a fixed order, so that a killed build can go on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


class Shards:
    """A store in the making, in a folder of its own.

    The journal has a line for each cine that is done and for each whole shard. Nothing counts that is not in it.

    Attributes:
        folder: where it is made.
        written: name, bytes and sha256 of each whole shard.
    """

    def __init__(self, folder: Path, key: str, shard_bytes: int, order: Sequence[str]) -> None:
        self.folder = folder
        self.written: list[dict[str, Any]] = []
        self._parts = folder / "parts"
        self._journal = folder / "journal.jsonl"
        self._limit = shard_bytes
        self._order = order
        self._numbers = {content: number for number, content in enumerate(order)}
        self._done: dict[str, dict[str, Any]] = {}
        self._cursor = 0  # contents of the order that are in a shard or chosen for the next
        self._chosen: list[str] = []
        self._held = 0
        start = {"key": key, "shard_bytes": shard_bytes}
        lines = list(_read_lines(self._journal))
        if not lines or lines[0] != start or not self._take_up(lines[1:]):
            shutil.rmtree(folder, ignore_errors=True)  # of another catalogue, size or version, or damaged
            self._parts.mkdir(parents=True)
            self._done, self.written, self._cursor = {}, [], 0
            self._note(start)
        self._join()

    def lacks(self, content: str) -> bool:
        """Whether a content belongs to the store and is not there yet."""
        return content in self._numbers and content not in self._done

    def part(self, content: str) -> Path:
        """The file that a worker is to write for a content."""
        return self._parts / f"{self._numbers[content]:08d}.bin"

    def add(self, content: str, result: dict[str, Any] | None, reason: str | None) -> None:
        """Takes note of a finished part or of the reason why there is none, and writes the shards that are complete."""
        line = {"id": content, "reason": reason, **(result or {})}
        self._done[content] = line
        self._note(line)
        self._join()

    def close(self) -> None:
        """Writes the last shard."""
        self._join(last=True)

    def reason(self, content: str) -> str | None:
        """Why a content is not in the store, or None if it is."""
        reason: str | None = self._done[content]["reason"]
        return reason

    def place(self, content: str) -> dict[str, Any]:
        """Where a content lies: `shard`, `offset`, `frames`, `window`, `times_s`."""
        return {"times_s": None, **self._done[content]}

    def tidy(self) -> None:
        """Takes away everything that is not the store."""
        shutil.rmtree(self._parts, ignore_errors=True)
        self._journal.unlink(missing_ok=True)

    def _join(self, last: bool = False) -> None:
        """Writes each shard whose contents are all known."""
        while self._cursor < len(self._order):
            content = self._order[self._cursor]
            line = self._done.get(content)
            if line is None:
                break
            size = 0 if line["reason"] else line["bytes"]
            if self._held and self._held + size > self._limit:
                self._write()
            self._chosen.append(content)
            self._held += size
            self._cursor += 1
        if last and self._held:
            self._write()

    def _write(self) -> None:
        name = f"shard-{len(self.written):05d}.bin"
        partial = self.folder / f"{name}.writing"
        digest, offset, offsets = hashlib.sha256(), 0, {}
        failed = {content: reason for content in self._chosen if (reason := self.reason(content))}
        with partial.open("wb") as shard:
            for content in self._chosen:
                if content in failed:
                    continue
                offsets[content] = offset
                with self.part(content).open("rb") as part:
                    while block := part.read(_BLOCK):
                        digest.update(block)
                        offset += shard.write(block)
            shard.flush()
            os.fsync(shard.fileno())
        partial.replace(self.folder / name)
        record = {"name": name, "bytes": offset, "sha256": digest.hexdigest()}
        self._note({"shard": record, "offsets": offsets, "failed": failed})
        self._place(record, offsets)
        for content in offsets:
            self.part(content).unlink()
        self._chosen, self._held = [], 0

    def _take_up(self, lines: Sequence[dict[str, Any]]) -> bool:
        """Takes up what an interrupted build has left; False where its shards are not as it noted them."""
        for line in lines:
            if "shard" in line:
                path = self.folder / line["shard"]["name"]
                if not path.is_file() or path.stat().st_size != line["shard"]["bytes"]:
                    return False
                self._place(line["shard"], line["offsets"])
                self._done |= {content: {"reason": reason} for content, reason in line["failed"].items()}
                self._cursor += len(line["offsets"]) + len(line["failed"])
            elif line["reason"] is None:
                self._done[line["id"]] = line
        in_shards = set(self._order[: self._cursor])
        self._done = {
            content: line for content, line in self._done.items() if content in in_shards or self._whole(content, line)
        }
        return True

    def _place(self, record: dict[str, Any], offsets: dict[str, int]) -> None:
        for content, offset in offsets.items():
            self._done[content] |= {"shard": len(self.written), "offset": offset}
        self.written.append(record)

    def _whole(self, content: str, line: dict[str, Any]) -> bool:
        """Whether a part of an interrupted build is what its worker wrote."""
        part = self.part(content)
        if not part.is_file() or part.stat().st_size != line["bytes"]:
            return False
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == line["sha256"]

    def _note(self, line: dict[str, Any]) -> None:
        with self._journal.open("a", encoding="utf-8") as journal:
            # The line break comes first: a killed run may have left half a line.
            journal.write("\n" + json.dumps(line))


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # the line that a killed run was writing
