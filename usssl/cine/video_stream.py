"""Opening a video container: local files only, one demultiplexer only, errors not concealed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usssl.cine.sniff import VIDEO_FORMATS
from usssl.errors import CineError


@dataclass(frozen=True)
class VideoFile:
    """What is needed to open a video, again and again.

    Attributes:
        path: the file; also for messages.
        kind: a key of `VIDEO_FORMATS`, told by content.
        max_frame_pixels: what the decoder may allocate for a frame.
        stream: a file-like object to read in place of the file (for video inside DICOM).
    """

    path: Path
    kind: str
    max_frame_pixels: int
    stream: Any = None

    def container(self) -> Any:
        """Opens the container at its start.

        Raises:
            CineError: if it is damaged.
        """
        import av

        if self.stream is not None:
            self.stream.seek(0)
        try:
            return av.open(
                f"file:{self.path}" if self.stream is None else self.stream,
                format=VIDEO_FORMATS[self.kind],
                # A file may name other files or addresses; only this one is opened, and playlists have no
                # demultiplexer.
                container_options={"protocol_whitelist": "file", "max_pixels": str(self.max_frame_pixels)},
                metadata_errors="replace",
                buffer_size=1 << 18,
            )
        except av.error.FFmpegError as error:
            raise CineError(self.path, f"its {self.kind} container is damaged ({_reason(error)})") from None

    def video(self, threads: int) -> tuple[Any, Any]:
        """Opens the container and prepares the decoder of its first video stream that is not a cover picture.

        Args:
            threads: of the decoder.

        Returns:
            (container, stream), both PyAV's.

        Raises:
            CineError: if there is no video stream.
        """
        container = self.container()
        streams = video_streams(container)
        if not streams:
            container.close()
            raise CineError(self.path, "it holds no video stream")
        context = streams[0].codec_context
        context.thread_count = threads
        context.thread_type = "NONE" if threads == 1 else "AUTO"
        # A frame that the decoder patched up is a wrong frame: let it raise instead.
        context.options = {"err_detect": "explode", "max_pixels": str(self.max_frame_pixels)}
        return container, streams[0]


def video_streams(container: Any) -> list[Any]:
    """The video streams of a container without its cover pictures."""
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _reason(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
