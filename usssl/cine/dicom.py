"""DICOM cines: any transfer syntax and photometric interpretation of ultrasound, decoding only the frames asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine.bytes_at import read_swapped, reader_at
from usssl.cine.dicom_codecs import JPEG_DCT, NATIVE, RLE, VIDEO, PixelLayout, is_supported, stored_samples
from usssl.cine.dicom_display import Display, display_of, to_bytes
from usssl.cine.dicom_file import DicomFile, open_dicom
from usssl.cine.dicom_frames import FrameTable, Segment, encapsulated_frames, native_frames
from usssl.cine.dicom_regions import pixel_spacing, read_regions
from usssl.cine.dicom_timing import frame_times
from usssl.cine.dicom_values import value_of
from usssl.cine.facts import Audio, CineFacts, Color, Limits
from usssl.cine.jpeg_headers import is_complete_jpeg, jpeg_header
from usssl.cine.sniff import VIDEO_FORMATS, kind_of
from usssl.cine.source import FrameSource
from usssl.cine.threads import default_threads, map_in_threads
from usssl.errors import CineError, CineLimitError

_PHOTOMETRICS = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


def open_dicom_source(path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None) -> FrameSource:
    """Opens a DICOM file: as a video stream where its transfer syntax is one, else frame by frame.

    Raises:
        CineError: if it cannot be read.
        CineLimitError: if its frames exceed the limits.
    """
    file = open_dicom(path)
    try:
        if file.syntax in VIDEO:
            return DicomVideoSource(path, file, color, limits, threads)
        return DicomSource(path, file, color, limits, default_threads() if threads is None else max(1, threads))
    except BaseException:
        file.stream.close()
        raise


class DicomSource(FrameSource):
    """Frames stored one by one, native or encapsulated."""

    def __init__(self, path: Path, file: DicomFile, color: Color, limits: Limits, threads: int) -> None:
        self._path = path
        self._file = file
        # Of the decoders only libjpeg-turbo lets other threads run meanwhile.
        self._threads = threads if file.syntax in JPEG_DCT else 1
        self._layout = _layout(path, file, limits)
        table = _frame_table(path, file, self._layout)
        self._frames = table.frames
        self._display: Display = display_of(file.dataset, self._layout)
        colored = self._layout.photometric not in ("MONOCHROME1", "MONOCHROME2")
        self.channels = 1 if color == "grey" or not colored else 3
        self.facts, self.times = self._describe(table, 3 if colored else 1)
        # The header can be long, and every worker holds one.
        self._file.dataset = None

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        if self._threads == 1 or len(indices) < 2:
            yield from map(self._frame, indices)
        else:
            yield from map_in_threads(self._frame, indices, self._threads)

    def hand_out(self, indices: Sequence[int], take: Callable[[int, np.ndarray], None]) -> None:
        """See `FrameSource.hand_out`."""

        def give(one: tuple[int, int]) -> None:
            take(one[0], self._frame(one[1]))

        threads = 1 if len(indices) < 2 else self._threads
        every = enumerate(indices)
        for _ in map(give, every) if threads == 1 else map_in_threads(give, every, threads):
            pass

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._file.stream.close()

    def patient(self) -> str | None:
        """See `FrameSource.patient`."""
        return _pseudonym(self._identity)

    def _frame(self, index: int) -> np.ndarray:
        return self._decode(index, self._read(self._frames[index]))

    def _read(self, segments: Sequence[Segment]) -> bytes:
        read = reader_at(self._file.stream)
        if self._file.swapped:
            read = partial(read_swapped, read, self._file.start)
        parts = [read(length, offset) for offset, length in segments]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _decode(self, index: int, data: bytes) -> np.ndarray:
        try:
            if self._layout.syntax in JPEG_DCT:
                fast = _decode_jpeg(data, self._layout, self.channels)
                if fast is not None:
                    return fast if self._display.table is None else self._display.table[fast]
            samples, photometric = stored_samples(data, self._layout)
            return to_bytes(samples, photometric, self._display, self.channels)
        except Exception as error:  # decoders of untrusted bytes raise anything
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise CineError(self._path, f"frame {index} is damaged and cannot be decoded ({reason})") from error

    def _describe(self, table: FrameTable, channels: int) -> tuple[CineFacts, np.ndarray]:
        dataset, layout = self._file.dataset, self._layout
        facts = CineFacts(
            container="dicom",
            codec=_codec_name(layout.syntax),
            frames=len(table.frames),
            height=layout.rows,
            width=layout.columns,
            channels=channels,
            reported_frames=_declared_frames(dataset),
            bits=layout.stored,
            pixel_format=layout.photometric,
            transfer_syntax=layout.syntax,
            warnings=table.warnings,
        )
        facts, self.regions, times = with_header(facts, dataset)
        self._identity = _identity(dataset)
        return facts, times


class DicomVideoSource(FrameSource):
    """An MPEG-2, MPEG-4 or HEVC stream inside DICOM (PS3.5 8.2.5 to 8.2.8)."""

    def __init__(self, path: Path, file: DicomFile, color: Color, limits: Limits, threads: int | None) -> None:
        from usssl.cine.video import VideoSource

        if file.length is not None:
            raise CineError(path, "its video stream is not encapsulated")
        table = encapsulated_frames(path, file.stream, file.start, None, is_stream=True)
        if not table.frames:
            raise CineError(path, "its video stream is missing")
        stream = SegmentReader(file.stream, table.frames[0])
        kind = kind_of(stream.read(1024))
        if kind not in VIDEO_FORMATS:
            raise CineError(path, "its video stream is of no known kind")
        self._file = file
        self._video = VideoSource(path, kind, color, limits, threads, stream)
        self.channels = self._video.channels
        video = self._video.facts
        declared = _declared_frames(file.dataset)
        notes = [*table.warnings, *video.warnings]
        if declared is not None and declared != video.frames:
            notes.append(f"the header claims {declared} frames, the video stream holds {video.frames}")
        facts = replace(
            video,
            container="dicom",
            transfer_syntax=file.syntax,
            reported_frames=declared,
            warnings=tuple(notes),
        )
        self.facts, self.regions, self.times = with_header(facts, file.dataset, self._video.times)
        self._identity = _identity(file.dataset)
        self._file.dataset = None

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        return self._video.frames_at(indices)

    def patient(self) -> str | None:
        """See `FrameSource.patient`."""
        return _pseudonym(self._identity)

    def audio(self) -> Audio | None:
        """See `FrameSource.audio`."""
        return self._video.audio()

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._video.close()
        self._file.stream.close()


class SegmentReader(io.RawIOBase):
    """Segments of a file read as if they were a file of their own."""

    def __init__(self, stream: Any, segments: Sequence[Segment]) -> None:
        super().__init__()
        self._stream = stream
        self._segments = segments
        self._starts = np.cumsum([0, *(length for _, length in segments)])
        self._place = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Place in the joined segments."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place; never before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: int(self._starts[-1])}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        left = int(self._starts[-1]) - self._place
        left = max(0, left if size is None or size < 0 else min(size, left))
        parts = []
        while left > 0:
            segment = int(np.searchsorted(self._starts, self._place, side="right")) - 1
            inner = self._place - int(self._starts[segment])
            offset, length = self._segments[segment]
            self._stream.seek(offset + inner)
            part = self._stream.read(min(left, length - inner))
            if not part:
                break
            parts.append(part)
            self._place += len(part)
            left -= len(part)
        return b"".join(parts)


def with_header(
    facts: CineFacts, dataset: Any, video_times: np.ndarray | None = None
) -> tuple[CineFacts, tuple[Any, ...], np.ndarray]:
    """Adds what the DICOM header says of time, space and origin.

    Args:
        facts: from the pixel data.
        dataset: the pydicom data set.
        video_times: times of an embedded video stream, taken where the header states none.

    Returns:
        (facts, regions, times).
    """
    fps, times, timing, notes = frame_times(dataset, facts.frames)
    if fps is None and video_times is not None:
        fps, times, timing, notes = facts.fps, video_times, facts.timing, ()
    regions = read_regions(dataset, facts.height, facts.width)
    spacing, spacing_notes = pixel_spacing(dataset, regions)
    filled = replace(
        facts,
        fps=fps,
        timing=timing,
        spacing_mm=spacing,
        modality=_text(dataset, "Modality"),
        manufacturer=_text(dataset, "Manufacturer"),
        burned_in_annotation=_text(dataset, "BurnedInAnnotation"),
        warnings=(*facts.warnings, *notes, *spacing_notes),
    )
    return filled, regions, times


def _layout(path: Path, file: DicomFile, limits: Limits) -> PixelLayout:
    if not is_supported(file.syntax):
        from pydicom.uid import UID

        raise CineError(path, f"its transfer syntax, {UID(file.syntax).name or 'not stated'}, is not supported")
    dataset = file.dataset
    photometric = _text(dataset, "PhotometricInterpretation").upper()
    samples = _integer(path, dataset, "SamplesPerPixel", 3 if _PHOTOMETRICS.get(photometric) == 3 else 1)
    photometric = photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    if _PHOTOMETRICS.get(photometric) != samples:
        raise CineError(
            path, f"photometric interpretation {photometric!r} with {samples} sample(s) a pixel is not supported"
        )
    allocated = _integer(path, dataset, "BitsAllocated", 8)
    layout = PixelLayout(
        syntax=file.syntax,
        rows=_integer(path, dataset, "Rows"),
        columns=_integer(path, dataset, "Columns"),
        samples=samples,
        allocated=allocated,
        stored=_integer(path, dataset, "BitsStored", allocated),
        signed=_integer(path, dataset, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        planar=_integer(path, dataset, "PlanarConfiguration", 0) == 1,
    )
    if layout.rows < 1 or layout.columns < 1:
        raise CineError(path, f"its frames are {layout.columns}x{layout.rows}")
    if layout.rows * layout.columns > limits.max_frame_pixels:
        raise CineLimitError(
            path, f"its frames are {layout.columns}x{layout.rows}; the limit is {limits.max_frame_pixels} pixels"
        )
    if layout.allocated not in (8, 16) or not 1 <= layout.stored <= layout.allocated:
        raise CineError(path, f"{layout.stored} of {layout.allocated} bits a sample are not supported")
    return layout


def _frame_table(path: Path, file: DicomFile, layout: PixelLayout) -> FrameTable:
    declared = _declared_frames(file.dataset)
    if file.length is not None:
        if file.syntax not in NATIVE:
            raise CineError(path, "its transfer syntax wants encapsulated pixel data, but they are not")
        return native_frames(file.start, file.length, file.size, layout.native_bytes, declared)
    extended = file.dataset.get("ExtendedOffsetTable") or b""
    offsets = np.frombuffer(extended[: len(extended) // 8 * 8], "<u8").tolist() if isinstance(extended, bytes) else []
    return encapsulated_frames(path, file.stream, file.start, declared, offsets, layout.syntax == RLE)


def _declared_frames(dataset: Any) -> int | None:
    """NumberOfFrames, 1 where it is absent (PS3.3 C.7.6.6 is then not used), None where it makes no sense."""
    try:
        stated = value_of(dataset, "NumberOfFrames")
        if stated is None and "NumberOfFrames" not in dataset:
            return 1
        value = int(stated)
    except (TypeError, ValueError):
        return None
    return value if value > 0 else None


def _decode_jpeg(data: bytes, layout: PixelLayout, channels: int) -> np.ndarray | None:
    """Baseline JPEG through libjpeg-turbo, or None where that would take the colours for something else."""
    import cv2

    header = jpeg_header(data)
    if (header.rows, header.columns, header.samples) != (layout.rows, layout.columns, layout.samples):
        raise ValueError(
            f"its coded size is {header.columns}x{header.rows}x{header.samples}, the header says "
            f"{layout.columns}x{layout.rows}x{layout.samples}"
        )
    if not is_complete_jpeg(data):
        raise ValueError("its JPEG data have no end")
    if header.precision != 8 or (header.samples == 3 and header.is_ycc(layout.photometric) != header.libjpeg_takes_ycc):
        return None
    mode = cv2.IMREAD_GRAYSCALE if header.samples == 1 or channels == 1 else cv2.IMREAD_COLOR_RGB
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    if frame is None or frame.shape[:2] != (layout.rows, layout.columns):
        raise ValueError("its JPEG data are damaged")
    return frame


def _integer(path: Path, dataset: Any, keyword: str, default: int | None = None) -> int:
    try:
        value = value_of(dataset, keyword)
        return int(value) if value is not None and value != "" else int(default)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise CineError(path, f"its {keyword} is missing or no number") from None


def _identity(dataset: Any) -> tuple[str, ...]:
    """What tells patients apart; kept inside the source and shown to nobody."""
    keywords = ("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID")
    return tuple(_text(dataset, keyword) for keyword in keywords)


def _pseudonym(identity: tuple[str, ...]) -> str | None:
    from usssl.cine.pseudonym import Pseudonyms

    return Pseudonyms.from_file().patient(*identity) if any(identity) else None


def _text(dataset: Any, keyword: str) -> str:
    try:
        value = value_of(dataset, keyword)
        return "" if value is None else str(value).strip()
    except Exception:  # pydicom decodes text late, by whatever character set the file claims
        return ""


def _codec_name(syntax: str) -> str:
    tail = syntax.removeprefix("1.2.840.10008.1.2.4.")
    names = {
        "50": "jpeg", "51": "jpeg", "57": "jpeg-lossless", "70": "jpeg-lossless", "80": "jpeg-ls", "81": "jpeg-ls",
        "90": "jpeg2000", "91": "jpeg2000", "92": "jpeg2000", "93": "jpeg2000", "201": "htj2k", "202": "htj2k",
        "203": "htj2k",
    }  # fmt: skip
    return names.get(tail, "rle" if syntax == RLE else "raw")
