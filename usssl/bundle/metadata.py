"""What `configs/metadata.json` of a bundle says: the MONAI Bundle fields, and usssl's own under `usssl`.

The fields and their types follow MONAI's `meta_schema_20240725.json`, so that other MONAI tools can read a bundle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, ValidationError, field_validator

from usssl.errors import BundleError

FORMAT = 1
SCHEMA_URL = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
METADATA_FILE = "configs/metadata.json"
MODEL_FILE = "models/model.onnx"
CARD_FILE = "docs/README.md"
BACKGROUND = "background"
OUTPUT_OF_TASK = {
    "planes": "plane_probs",
    "saliency": "saliency",
    "recognition": "cine_probs",
    "retrieval": "embedding",
}
# Columns of frames.parquet and cines.parquet; a class of that name would hide them.
_RESERVED = {"cine", "path", "frame", "frames", "time_s", "best", "entropy"}
_MAX_METADATA_BYTES = 4 << 20

Task = Literal["planes", "saliency", "recognition", "retrieval"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorFormat(_Part):
    """One input or output of the network, in MONAI's words; `spatial_shape` has `*` where any size fits."""

    type: str
    format: str
    modality: str = "US"
    num_channels: int
    spatial_shape: tuple[str | int, ...]
    dtype: str
    value_range: tuple[float, ...]
    is_patch_data: bool = False
    channel_def: dict[str, str] = Field(default_factory=dict)


class NetworkDataFormat(_Part):
    """The network's inputs and outputs by name."""

    inputs: dict[str, TensorFormat]
    outputs: dict[str, TensorFormat]


class ClipFacts(_Part):
    """How many frames the model sees at once, and the step between them in frames of the cine."""

    frames: PositiveInt = 1
    stride: PositiveInt = 1


class Parity(_Part):
    """How far ONNX Runtime was from PyTorch on real frames when the bundle was written.

    Attributes:
        tolerance: the bound that the export demanded of `max_relative_error`.
        max_abs_error: largest absolute difference of each output, in its own units (`window`: pixels).
        max_relative_error: the same over the largest magnitude of that output; a saliency map sums to 1, so that its
            absolute differences are small whatever is wrong with it.
        frames: number of frames compared.
        sizes: the frame sizes (height, width) that were compared.
        batches: the (batch, time) shapes that were compared.
    """

    tolerance: float
    max_abs_error: dict[str, float]
    max_relative_error: dict[str, float]
    frames: PositiveInt
    sizes: tuple[tuple[int, int], ...]
    batches: tuple[tuple[int, int], ...]


class UssslFacts(_Part):
    """What usssl needs to run the model.

    Attributes:
        format: version of this block; readers refuse what they do not know.
        task: the tasks that the model does, one output each (`OUTPUT_OF_TASK`).
        classes: names of the classes, in the order of the last axis of `plane_probs` and `cine_probs`.
        size: height and width, in pixels, of what the model sees after its crop.
        clip: frames the model takes at once; `frames=1` is a frame model, which takes any number.
        sha256: of `models/model.onnx`.
        parity: see `Parity`; None where the model did not come from PyTorch.
    """

    format: Literal[1] = 1
    task: tuple[Task, ...] = Field(min_length=1)
    classes: tuple[str, ...] = ()
    size: tuple[PositiveInt, PositiveInt]
    clip: ClipFacts = ClipFacts()
    sha256: Sha256
    parity: Parity | None = None

    @field_validator("classes")
    @classmethod
    def _classes_name_columns(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) != len(classes):
            raise ValueError("two classes have the same name")
        if clash := _RESERVED.intersection(classes):
            raise ValueError(f"a class cannot be called {sorted(clash)[0]!r}, which is a column of the tables")
        return classes

    @property
    def planes(self) -> tuple[str, ...]:
        """The classes that are standard planes: all but the background."""
        return tuple(name for name in self.classes if name != BACKGROUND)


class BundleMetadata(BaseModel):
    """`configs/metadata.json` as a whole; unknown MONAI fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    schema_url: str = Field(default=SCHEMA_URL, alias="schema")
    version: str
    changelog: dict[str, str] = Field(default_factory=dict)
    monai_version: str
    pytorch_version: str
    numpy_version: str
    required_packages_version: dict[str, str]
    name: str = ""
    task: str
    description: str
    authors: str
    copyright: str
    intended_use: str = "For research use; not a medical device."
    network_data_format: NetworkDataFormat
    usssl: UssslFacts

    def to_json(self) -> str:
        """The text of `configs/metadata.json`."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def read_metadata(folder: Path) -> BundleMetadata:
    """Reads and checks `configs/metadata.json` of a bundle.

    Raises:
        BundleError: the file is missing, is not JSON, or says something that this version cannot run.
    """
    path = folder / METADATA_FILE
    try:
        if path.stat().st_size > _MAX_METADATA_BYTES:
            raise BundleError(f"{path} is larger than any bundle's metadata; export the bundle again")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} is not a bundle: it has no {METADATA_FILE}; give a folder that `usssl export` wrote"
        ) from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}; check its permissions") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{path} is damaged (not JSON); export the bundle again") from None
    if not isinstance(values, dict) or not isinstance(values.get("usssl"), dict):
        raise BundleError(f"{path} has no block `usssl`: another program wrote this bundle, and usssl cannot run it")
    _refuse_unknown(path, values["usssl"])
    try:
        return BundleMetadata.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}; export the bundle again") from None


def _refuse_unknown(path: Path, facts: dict[str, Any]) -> None:
    """Says in plain words the two mismatches that a user can mend by updating."""
    if facts.get("format") != FORMAT:
        raise BundleError(
            f"{path} has bundle format {facts.get('format')!r}, but this usssl reads format {FORMAT}; "
            "update usssl or export the bundle again"
        )
    tasks = facts.get("task")
    for task in tasks if isinstance(tasks, list) else [tasks]:
        if task not in OUTPUT_OF_TASK:
            raise BundleError(
                f"{path} asks for the unknown task {task!r}; this usssl knows {', '.join(OUTPUT_OF_TASK)}"
            )
