"""One sample cine on disk: its video files, and beside them one file with all that is known of it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.simulation import SimulatedCine, simulate_cine

GENERATOR = 2
"""Goes up whenever the same seed gives other frames than before."""


@dataclass(frozen=True)
class CineOrder:
    """A cine to write; all that a worker process needs.

    Attributes:
        folder: the collection.
        kind: what is simulated.
        seed: seed of the collection.
        patient: number of the patient, from 1.
        suffixes: the video files to write.
        size: height and width, in pixels.
        frames: length.
    """

    folder: Path
    kind: str
    seed: int
    patient: int
    suffixes: tuple[str, ...]
    size: tuple[int, int]
    frames: int

    @property
    def patient_id(self) -> str:
        """The patient's name in the labels."""
        return f"p{self.patient:04d}"

    @property
    def stem(self) -> str:
        """Name of the cine's files, without suffix."""
        return f"{self.patient_id}_01"

    @property
    def record(self) -> Path:
        """The file of labels, gaze and saliency; written last, so that its presence says that the cine is complete."""
        return self.folder / "saliency" / f"{self.stem}.zip"

    @property
    def files(self) -> list[Path]:
        """The video files."""
        return [self.folder / "cines" / (self.stem + suffix) for suffix in self.suffixes]


@dataclass(frozen=True)
class CineRecord:
    """What is known of a cine, as read from its record file.

    Attributes:
        patient: the patient's name.
        kind: what was simulated.
        generator: `GENERATOR` of the usssl that wrote it.
        seed: seed of the collection.
        fps: frames a second.
        size: height and width, in pixels.
        spacing_mm: size of a pixel.
        planes: label of each frame.
        gaze_frame: frame of each gaze sample.
        gaze_time_s: its time.
        gaze: its place (x, y), 0 to 1.
    """

    patient: str
    kind: str
    generator: int
    seed: int
    fps: float
    size: tuple[int, int]
    spacing_mm: float
    planes: tuple[str, ...]
    gaze_frame: NDArray[np.int64]
    gaze_time_s: NDArray[np.float64]
    gaze: NDArray[np.float64]


def is_complete(order: CineOrder) -> bool:
    """Whether all files of a cine are there and its record can be read."""
    return all(file.is_file() for file in order.files) and read_record(order.record) is not None


def write_cine(order: CineOrder) -> None:
    """Simulates a cine and writes its files."""
    cine = simulate_cine(order.seed, order.patient, size=order.size, frames=order.frames)
    for file in order.files:
        if not file.is_file():
            _write_video(file, cine, order)
    _write_record(cine, order)


def read_record(path: Path) -> CineRecord | None:
    """Reads a record file; None where it is damaged."""
    try:
        with np.load(path) as stored:
            return CineRecord(
                patient=str(stored["patient"]),
                kind=str(stored["kind"]),
                generator=int(stored["generator"]),
                seed=int(stored["seed"]),
                fps=float(stored["fps"]),
                size=(int(stored["size"][0]), int(stored["size"][1])),
                spacing_mm=float(stored["spacing_mm"]),
                planes=tuple(str(name) for name in stored["planes"]),
                gaze_frame=stored["gaze_frame"],
                gaze_time_s=stored["gaze_time_s"],
                gaze=stored["gaze"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _write_record(cine: SimulatedCine, order: CineOrder) -> None:
    from usssl.cine.video_writing import atomic_path

    with atomic_path(order.record) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            maps=cine.saliency,
            gaze=cine.gaze.position.astype(np.float32),
            gaze_frame=cine.gaze.frame.astype(np.int32),
            gaze_time_s=cine.gaze.time_s,
            planes=np.array(cine.planes),
            patient=np.array(order.patient_id),
            kind=np.array(order.kind),
            generator=np.array(GENERATOR),
            seed=np.array(order.seed),
            fps=np.array(cine.fps),
            size=np.array(order.size),
            spacing_mm=np.array(cine.spacing_mm[0]),
        )


def _write_video(path: Path, cine: SimulatedCine, order: CineOrder) -> None:
    from usssl.cine import Region, write_dicom, write_video

    if path.suffix == ".mp4":
        write_video(path, cine.frames, cine.fps, crf=15, reproducible=True)
        return
    rows, columns = (np.flatnonzero(cine.sector.mask.any(axis=axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    centimetre = cine.spacing_mm[0] / 10
    identity = cine.patient.identity
    write_dicom(
        path,
        cine.frames,
        cine.fps,
        spacing_mm=cine.spacing_mm,
        regions=[Region("b_mode", box, (centimetre, centimetre), ("cm", "cm"))],
        patient_name=identity.name,
        patient_id=identity.number,
        seed=f"usssl samples {order.kind} {order.seed} {order.patient_id}/{order.stem}",
        tags={
            "Manufacturer": cine.patient.layout.vendor,
            "BurnedInAnnotation": "YES",
            "StudyDate": identity.date.replace("-", ""),
            "StudyTime": identity.time.replace(":", "") + "00",
            "StudyDescription": "Simulated fetal sweep",
        },
    )
