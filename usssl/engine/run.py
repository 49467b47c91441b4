"""The run: the folder that a training command writes."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from usssl.errors import OutputError, UsageError
from usssl.recipe import FinetuneRecipe, PretrainRecipe, Recipe, dump_recipe, read_saved_recipe

_PACKAGES = ("usssl", "torch", "monai", "pytorch-ignite", "numpy", "pyarrow", "av", "pydicom", "onnxruntime-gpu")


class Run:
    """A run folder: `recipe.yaml`, `metrics.jsonl`, `checkpoints/`, weights, `provenance.json`, `log.txt`.

    Args:
        path: the folder; `open` or `create` make sure that it is one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def check_writable(path: Path) -> None:
        """Finds out before any work whether a run can be written at `path`; leaves nothing behind.

        Raises:
            OutputError: it cannot.
        """
        made: list[Path] = []
        try:
            for folder in reversed([path, *path.parents]):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise OutputError(f"cannot write to {path}: {error.strerror or error}") from None
        finally:
            for folder in reversed(made):
                folder.rmdir()

    @classmethod
    def create(cls, path: Path, recipe: Recipe, *, resume: bool) -> Run:
        """Starts a run, or takes up an unfinished one.

        Raises:
            UsageError: as `check`.
            OutputError: the folder cannot be written.
        """
        run = cls.check(path, recipe, resume=resume)
        try:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            write_text(path / "recipe.yaml", dump_recipe(recipe))
        except OSError as error:
            raise OutputError(f"cannot write to {path}: {error.strerror or error}") from None
        return run

    @classmethod
    def check(cls, path: Path, recipe: Recipe, *, resume: bool) -> Run:
        """The run that `create` would start or take up; writes nothing.

        Raises:
            UsageError: the folder holds a run and `resume` is off, or it holds a run of another recipe, or other files.
        """
        run = cls(path)
        saved = path / "recipe.yaml"
        if saved.exists() and not resume:
            raise UsageError(f"{path} already holds a run; add --resume to go on with it, or choose another -o")
        if saved.exists() and _without_length(run.recipe()) != _without_length(recipe):
            raise UsageError(f"{path} holds a run of another recipe; choose another -o")
        if path.exists() and not saved.exists() and any(path.iterdir()):
            raise UsageError(f"{path} is not empty and not a run; choose another -o")
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Opens an existing run.

        Raises:
            UsageError: there is no run at this path.
        """
        path = Path(path)
        if not (path / "recipe.yaml").is_file():
            raise UsageError(f"there is no run at {path} (a run holds recipe.yaml)")
        return cls(path)

    def recipe(self) -> PretrainRecipe | FinetuneRecipe:
        """The resolved recipe of the run."""
        return read_saved_recipe(self.path / "recipe.yaml")

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return (self.path / "encoder.safetensors").is_file()

    # -- weights -----------------------------------------------------------------------------------------------

    def save_weights(self, name: str, state: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Writes `<name>.safetensors` whole or not at all; `facts` go into its header."""
        target = self.path / f"{name}.safetensors"
        partial = target.with_suffix(".partial")
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}, partial, dict(facts))
        partial.replace(target)

    def load_weights(self, name: str) -> dict[str, Tensor]:
        """Reads `<name>.safetensors`.

        Raises:
            UsageError: the run has no such weights yet.
        """
        path = self.path / f"{name}.safetensors"
        if not path.is_file():
            raise UsageError(f"the run {self.path} has no {path.name}; let it finish first (--resume)")
        return read_weights(path)

    # -- checkpoints -------------------------------------------------------------------------------------------

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Writes the training state, whole or not at all."""
        target = self.path / "checkpoints" / "last.pt"
        partial = target.with_suffix(".partial")
        torch.save(dict(state), partial)
        partial.replace(target)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last training state, or None at the start. No code in the file is run.

        Raises:
            UsageError: the file cannot be read, or is damaged.
        """
        target = self.path / "checkpoints" / "last.pt"
        if not target.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(target, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever torch comes upon in a damaged file
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
            raise UsageError(
                f"cannot read the checkpoint {target}: {reason}; put back a copy of it, or start anew with another -o"
            ) from None
        return state

    # -- metrics and provenance --------------------------------------------------------------------------------

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of `metrics.jsonl`."""
        path = self.path / "metrics.jsonl"
        if path.is_file():
            for line in path.read_text().splitlines():
                yield json.loads(line)

    def open_metrics(self) -> TextIO:
        """`metrics.jsonl`, to which whole lines are appended."""
        return (self.path / "metrics.jsonl").open("a", buffering=1)

    def drop_metrics_after(self, step: int) -> None:
        """Forgets the lines past a checkpoint, which a resumed run writes anew."""
        kept = [line for line in self.metrics() if line["step"] <= step]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def write_provenance(self, **facts: Any) -> None:
        """Writes `provenance.json`: versions, seed, data, hardware and command."""
        provenance = {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            **machine(),
            **facts,
        }
        write_text(self.path / "provenance.json", json.dumps(provenance, indent=1) + "\n")

    def provenance(self) -> dict[str, Any]:
        """What `write_provenance` wrote; empty where nothing is."""
        path = self.path / "provenance.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def log(self, message: str) -> None:
        """Appends a dated line to `log.txt`."""
        with (self.path / "log.txt").open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {message}\n")


def machine() -> dict[str, Any]:
    """What a result was computed with: versions and the kind of machine, and nothing that names it."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "platform": f"{platform.system()} {platform.machine()}",
        "kind": "gpu" if gpu else "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # rounding differs with them
        "gpu": gpu,
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a `.safetensors` file.

    Raises:
        UsageError: the file is missing or not safetensors (pickled weights run code and are refused).
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UsageError(f"there are no weights at {path}") from None
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a readable .safetensors file: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _without_length(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what may change when a run goes on: where it runs, and how often it is saved."""
    content: dict[str, Any] = yaml.safe_load(dump_recipe(recipe))
    for key in ("workers", "device", "checkpoint_minutes"):
        content["trainer"].pop(key)
    return content


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
