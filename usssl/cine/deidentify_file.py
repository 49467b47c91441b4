"""One cine without the patient: header, pixels, file name, container."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from usssl.cine.cine import Cine
from usssl.cine.clean_pixels import clean_pixels
from usssl.cine.dicom_cleaning import clean_header, patient_of, silenced
from usssl.cine.dicom_file import open_dicom
from usssl.cine.dicom_pixels import set_pixels
from usssl.cine.pseudonym import Pseudonyms
from usssl.cine.sector import CELLS
from usssl.cine.sector_mask import Mask, find_sector, mask_outside, sampled_frames, to_grey
from usssl.cine.video_writing import atomic_path, write_video
from usssl.errors import CineError

_FALLBACK_FPS = 25.0
_THUMBNAIL_WIDTH = 280
_REMOVED, _MARKED = (176, 58, 46), (240, 190, 40)


class HeldBackError(CineError):
    """A file that can be read, but is not written, since text over its image may remain."""

    def __str__(self) -> str:
        return f"{self.path} is held back: {self.reason}"


@dataclass(frozen=True)
class Cleaned:
    """What became of one file; holds nothing of the original but its thumbnail.

    Attributes:
        id: pseudonym of the file's content.
        file: the clean file, relative to the output.
        frames: number of frames.
        kept: share of the frame that is kept, 0 … 1.
        marks: share of the frame blacked within the image, as text and marks drawn over it.
        searched: whether text over the image could be told from tissue, by its stillness or, in a still, by its sharp
            edges, and none is left. Only then does the file state that its pixels are clean.
        before: JPEG, base64, of a frame with what was removed painted over.
        after: JPEG, base64, of the same frame of the clean file.
    """

    id: str
    file: str
    frames: int
    kept: float
    marks: float
    searched: bool
    before: str
    after: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def clean_file(
    cine: Cine,
    identity: str,
    out: Path,
    pseudonyms: Pseudonyms,
    show_original: bool = False,
    keep_doubtful: bool = False,
    trust_search: bool = False,
) -> Cleaned:
    """Writes the clean copy of a cine: DICOM as DICOM, other stills as PNG, the rest as H.264 video without sound.

    Args:
        cine: in native colour.
        identity: pseudonym of the file's content, which names the output.
        out: the folder of outputs.
        pseudonyms: of patients and UIDs.
        show_original: let the thumbnail of the original show what was removed.
        keep_doubtful: write a cine in which text over the image may remain, too; its header does not claim clean
            pixels.
        trust_search: take a still for clean in which a search for sharp edges finds no text, though it can miss what
            is faint.

    Raises:
        CineError: if it cannot be read, or no ultrasound image is found in it.
        HeldBackError: if text over the image may remain; the reason names the setting that would write it.
        OutputError: if it cannot be written.
    """
    frames = sampled_frames(cine)
    sector = find_sector(frames, cine.regions)
    if sector is None:
        raise CineError(cine.source, "no ultrasound image was found in it, so that nothing tells what may stay")
    clean = clean_pixels(frames, sector, every_frame=len(frames) == len(cine))
    doubt, remedy = clean.doubt, "--keep-doubtful writes it and shows it in the review sheet"
    if doubt is None and not clean.moves and not trust_search:
        doubt = "nothing moves in it, and though no text was found over the image, faint text can be missed"
        remedy = "--trust-search writes it"
    keep, marks, searched = clean.keep, clean.marks, doubt is None
    if doubt is not None and not keep_doubtful:
        raise HeldBackError(cine.source, f"{doubt}; {remedy}")
    path = _write(cine, keep, identity, out, pseudonyms, searched)
    shown = frames[len(frames) // 2]
    return Cleaned(
        id=identity,
        file=path.relative_to(out).as_posix(),
        frames=len(cine),
        kept=round(float(keep.mean()), 4),
        marks=round(float(marks.mean()), 4),
        searched=searched,
        before=_thumbnail(shown if show_original else _painted(shown, keep | marks, marks)),
        after=_thumbnail(mask_outside(shown[None], keep)[0]),
    )


def _write(cine: Cine, keep: Mask, identity: str, out: Path, pseudonyms: Pseudonyms, searched: bool) -> Path:
    if cine.facts.container == "dicom":
        return _write_dicom(cine, keep, identity, out, pseudonyms, searched)
    folder = out / "UNKNOWN"
    folder.mkdir(parents=True, exist_ok=True)
    if len(cine) == 1:
        path = folder / f"{identity}.png"
        frame = mask_outside(cine.read([0]), keep)[0]
        with atomic_path(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", frame if frame.ndim == 2 else frame[..., ::-1])[1].tobytes())
        return path
    return write_video(folder / f"{identity}.mp4", _masked(cine, keep), cine.fps or _FALLBACK_FPS)


def _write_dicom(cine: Cine, keep: Mask, identity: str, out: Path, pseudonyms: Pseudonyms, searched: bool) -> Path:
    file = open_dicom(cine.source)
    try:
        with silenced():
            folder = out / patient_of(file.dataset, pseudonyms)
            clean = clean_header(file.dataset, pseudonyms, identity, pixels_are_clean=searched)
    finally:
        file.stream.close()
    # A palette or a video codec gives three channels to what is grey; RGB stays RGB.
    grey_in_colour = cine.facts.pixel_format not in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    set_pixels(clean, lambda: _masked(cine, keep), 1 if cine.ndim == 3 else 3, collapse=grey_in_colour)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identity}.dcm"
    with atomic_path(path) as temporary:
        clean.save_as(temporary, enforce_file_format=True)
    return path


def _masked(cine: Cine, keep: Mask) -> Iterator[np.ndarray]:
    for frame in cine.iter_frames():
        yield mask_outside(frame[None], keep)[0]


def _painted(frame: np.ndarray, image: Mask, marks: Mask) -> np.ndarray:
    """The frame with what was removed painted over, coarsely enough that no letter can be read from the paint."""
    grey = to_grey(frame[None])[0]
    shown = np.repeat(grey[..., None], 3, axis=2)
    height, width = grey.shape
    lit = ((grey > 8) & ~image).astype(np.float32)
    cells = cv2.resize(lit, (min(CELLS, width), min(CELLS, height)), interpolation=cv2.INTER_AREA) > 0.02
    removed = cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    shown[~image] = 0
    shown[removed & ~image] = _REMOVED
    shown[marks] = _MARKED
    return shown


def _thumbnail(frame: np.ndarray) -> str:
    scale = min(1.0, _THUMBNAIL_WIDTH / frame.shape[1])
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    small = small if small.ndim == 2 else small[..., ::-1]
    coded = cv2.imencode(".jpg", np.ascontiguousarray(small), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return base64.b64encode(coded.tobytes()).decode("ascii")
