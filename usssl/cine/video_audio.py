"""The sound of a video file as one mono waveform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from usssl.cine.facts import Audio
from usssl.errors import CineError, CineLimitError

_MAX_SAMPLES = 1 << 28  # 1.5 hours at 48 kHz


def decode_audio(container: Any, path: Path, video_start: float) -> Audio | None:
    """Decodes the first sound track whole.

    Args:
        container: an open PyAV input container, at its start.
        path: for messages.
        video_start: seconds of the first video frame on the container's clock.

    Returns:
        The mean of the channels at the track's own rate; None where there is no track or it holds no sample.

    Raises:
        CineError: if the track cannot be decoded.
        CineLimitError: if it is longer than about 1.5 hours.
    """
    import av

    stream = next(iter(container.streams.audio), None)
    if stream is None:
        return None
    blocks: list[np.ndarray] = []
    samples = 0
    rate = 0
    start: float | None = None
    try:
        resampler = av.AudioResampler(format="fltp")
        for frame in container.decode(stream):
            if start is None:
                rate = frame.sample_rate
                start = (frame.time or 0.0) - video_start
            for converted in resampler.resample(frame):
                blocks.append(converted.to_ndarray().mean(axis=0, dtype=np.float32))
                samples += blocks[-1].size
            if samples > _MAX_SAMPLES:
                raise CineLimitError(path, "its sound track is too long to be held in memory")
    except av.error.FFmpegError as error:
        if not blocks:
            raise CineError(path, f"its sound track cannot be decoded ({error.strerror.lower()})") from None
    if not blocks:
        return None
    waveform = np.clip(np.nan_to_num(np.concatenate(blocks)), -1.0, 1.0)
    return Audio(waveform.astype(np.float32, copy=False), rate, start or 0.0)
