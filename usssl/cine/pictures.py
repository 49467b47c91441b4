"""Cines made of still images: multi-page TIFF, a folder of images in natural order, one image by itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from usssl.cine.facts import CineFacts, Color, Limits
from usssl.cine.sniff import HEAD, kind_of
from usssl.cine.source import FrameSource, even_times
from usssl.cine.still import from_bgr, image_size, read_image
from usssl.cine.tiff_pages import TiffPage, tiff_pages
from usssl.errors import CineError, CineLimitError

_BLOCK = 16  # pages that are decoded at once


class TiffSource(FrameSource):
    """The pages of a TIFF file that have the size of its first."""

    def __init__(self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None) -> None:
        self._path = path
        pages = _pages(path, limits)
        first = next((page for page in pages if not page.is_reduced), pages[0])
        size = (first.rows, first.columns)
        self._page_numbers = [
            n
            for n, page in enumerate(pages)
            if (page.rows, page.columns) == size and page.is_reduced == first.is_reduced
        ]
        self._size = size
        if first.rows * first.columns > limits.max_frame_pixels:
            raise CineLimitError(path, f"its pages are {first.columns}x{first.rows}, more than the limits allow")
        image = self._decode(0, 1)[0]
        frames = len(self._page_numbers)
        fps = first.fps
        self.channels = 1 if color == "grey" or image.ndim == 2 else 3
        self.times = even_times(frames, fps)
        others = len(pages) - frames
        self.facts = CineFacts(
            container="tiff",
            codec="tiff",
            frames=frames,
            height=first.rows,
            width=first.columns,
            channels=1 if image.ndim == 2 else 3,
            fps=fps,
            reported_frames=len(pages),
            bits=first.bits,
            pixel_format="grey" if image.ndim == 2 else "rgb",
            timing="ImageJ" if fps else "none",
            warnings=(f"{others} page(s) of another size were left out",) if others else (),
        )

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        for _, group in itertools.groupby(enumerate(indices), key=lambda place: place[1] - place[0]):
            run = [index for _, index in group]
            for first in range(0, len(run), _BLOCK):
                yield from self._decode(run[first], len(run[first : first + _BLOCK]))

    def close(self) -> None:
        """See `FrameSource.close`; pages are decoded by path, so nothing is held."""

    def _decode(self, first: int, count: int) -> list[np.ndarray]:
        import cv2

        pages = self._page_numbers[first : first + count]
        done, images = cv2.imreadmulti(str(self._path), pages[0], pages[-1] - pages[0] + 1, flags=cv2.IMREAD_UNCHANGED)
        if not done or len(images) != pages[-1] - pages[0] + 1:
            raise CineError(self._path, f"page {pages[0]} or one of the next {count} is damaged and cannot be decoded")
        frames = [from_bgr(images[page - pages[0]]) for page in pages]
        for page, frame in zip(pages, frames, strict=True):
            if frame.shape[:2] != self._size:
                raise CineError(self._path, f"page {page} is damaged and cannot be decoded")
        return frames


class FolderSource(FrameSource):
    """A folder of images, or one image: each a frame, in natural order (`2.png` before `10.png`)."""

    def __init__(self, path: Path, kind: str, color: Color, limits: Limits, threads: int | None = None) -> None:
        self._path = path
        self._files = [path] if kind == "image" else image_files(path)
        if not self._files:
            raise CineError(path, "it is a folder without images; open the files in it one by one, or index it")
        if len(self._files) > limits.max_frames:
            raise CineLimitError(path, f"it has {len(self._files)} images; the limit is {limits.max_frames}")
        sizes = [self._size_of(file) for file in self._files]
        if len(set(sizes)) > 1:
            odd = next(n for n, size in enumerate(sizes) if size != sizes[0])
            raise CineError(
                path, f"its images differ in size ({self._files[0].name} and {self._files[odd].name}), so it is no cine"
            )
        self._size = sizes[0]
        if self._size[0] * self._size[1] > limits.max_frame_pixels:
            raise CineLimitError(path, f"its images are {self._size[1]}x{self._size[0]}, more than the limits allow")
        first = self._decode(0)
        self.channels = 1 if color == "grey" or first.ndim == 2 else 3
        frames = len(self._files)
        self.times = even_times(frames, None)
        self.facts = CineFacts(
            container="folder" if kind == "folder" else "image",
            codec="image",
            frames=frames,
            height=self._size[0],
            width=self._size[1],
            channels=1 if first.ndim == 2 else 3,
            pixel_format="grey" if first.ndim == 2 else "rgb",
        )

    def frames_at(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """See `FrameSource.frames_at`."""
        for index in indices:
            yield self._decode(index)

    def close(self) -> None:
        """See `FrameSource.close`; files are opened one at a time, so nothing is held."""

    def _decode(self, index: int) -> np.ndarray:
        try:
            image = read_image(self._files[index])
        except (OSError, ValueError) as error:
            raise CineError(self._path, f"image {self._files[index].name} cannot be decoded ({error})") from None
        if image.shape[:2] != self._size:
            raise CineError(self._path, f"image {self._files[index].name} is not of the size that its header states")
        return image

    def _size_of(self, file: Path) -> tuple[int, int]:
        try:
            return image_size(file)
        except (OSError, ValueError, StopIteration) as error:
            raise CineError(self._path, f"image {file.name} is damaged ({error})") from None


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder by their content, in natural order; hidden files are passed over."""
    files = []
    for file in folder.iterdir():
        if file.name.startswith(".") or not file.is_file():
            continue
        with file.open("rb") as stream:
            if kind_of(stream.read(HEAD)) in ("image", "tiff"):
                files.append(file)
    return sorted(files, key=lambda file: natural_key(file.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts numbers within names by value: `frame2` before `frame10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)]


def _pages(path: Path, limits: Limits) -> list[TiffPage]:
    with path.open("rb") as stream:
        try:
            pages = list(tiff_pages(stream, limits.max_frames + 1))
        except ValueError as error:
            raise CineError(path, str(error)) from None
    if len(pages) > limits.max_frames:
        raise CineLimitError(path, f"it has more than {limits.max_frames} pages, the limit")
    if not pages:
        raise CineError(path, "it holds no pages")
    return pages
