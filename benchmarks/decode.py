"""Random 16-frame clips (stride 2) from video: frames a second over the best of PyAV, OpenCV and decord.

Three files of one 640 × 480 speckle cine: H.264 with a key frame every 250 frames, with one every 12, and MJPEG. Every
reader may use all cores and gives the same frames in the same colours. `fresh` opens the file for each clip, as a
loader over many cines does; `kept` holds it open.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from measure import alternate, is_installed, print_machine, ratio_line, speckle_cine

from usssl.cine import open_cine, write_video

FRAMES, SIZE = 240, (480, 640)
CLIP, STRIDE, CLIPS = 16, 2, 4
GOAL = 1.0
MODES = (("rgb", False), ("rgb", True), ("grey", False), ("grey", True))  # colours, whether the file is kept open
FILES = {"h264_gop250": ("h264", 250), "h264_gop12": ("h264", 12), "mjpeg": ("mjpeg", None)}

Reader = Callable[[str, list[list[int]]], list[np.ndarray]]


def usssl_reader(color: str, kept: bool) -> Reader:
    def read(path, clips):
        cine = open_cine(path, color=color)
        out = []
        for clip in clips:
            if not kept:
                cine = open_cine(path, color=color)
            out.append(cine.read(clip))
        return out

    return read


def pyav_reader(color: str, kept: bool) -> Reader:
    import av

    pixel_format = "gray" if color == "grey" else "rgb24"

    def opened(path):
        container = av.open(path)
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return container, stream

    def read_clip(container, stream, clip):
        wanted = {round(n / stream.average_rate / stream.time_base): n for n in clip}
        container.seek(min(wanted), stream=stream, backward=True)
        frames = []
        for frame in container.decode(stream):
            if frame.pts in wanted:
                frames.append(frame.to_ndarray(format=pixel_format))
                if len(frames) == len(clip):
                    break
        return np.stack(frames)

    def read(path, clips):
        container, stream = opened(path)
        out = []
        for clip in clips:
            if not kept:
                container.close()
                container, stream = opened(path)
            out.append(read_clip(container, stream, clip))
        container.close()
        return out

    return read


def opencv_reader(color: str, kept: bool) -> Reader:
    code = cv2.COLOR_BGR2GRAY if color == "grey" else cv2.COLOR_BGR2RGB

    def read_clip(capture, clip):
        capture.set(cv2.CAP_PROP_POS_FRAMES, clip[0])
        frames = []
        for number in range(clip[0], clip[-1] + 1):
            capture.grab()
            if (number - clip[0]) % STRIDE == 0:
                frames.append(cv2.cvtColor(capture.retrieve()[1], code))
        return np.stack(frames)

    def read(path, clips):
        capture = cv2.VideoCapture(path)
        out = []
        for clip in clips:
            if not kept:
                capture = cv2.VideoCapture(path)
            out.append(read_clip(capture, clip))
        return out

    return read


def decord_reader(color: str, kept: bool) -> Reader:
    import decord

    def read(path, clips):
        reader = decord.VideoReader(path)
        out = []
        for clip in clips:
            if not kept:
                reader = decord.VideoReader(path)
            frames = reader.get_batch(clip).asnumpy()
            if color == "grey":
                frames = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
            out.append(frames)
        return out

    return read


def check(sides: dict[str, list[np.ndarray]]) -> None:
    """Every reader must have given the same frames: a fast wrong frame is no figure."""
    ours = sides["usssl"]
    for name, theirs in sides.items():
        apart = max(float(np.abs(a.astype(int) - b.astype(int)).mean()) for a, b in zip(ours, theirs, strict=True))
        assert apart < 3.0, f"{name} read other frames: {apart:.1f} levels apart"


def main() -> int:
    makers = {"usssl": usssl_reader, "PyAV": pyav_reader, "OpenCV": opencv_reader}
    if is_installed("decord"):
        makers["decord"] = decord_reader
    print_machine(["usssl", "av", "opencv-python-headless", "decord"])
    rng = np.random.default_rng(0)
    starts = rng.integers(0, FRAMES - CLIP * STRIDE, CLIPS)
    clips = [list(range(start, start + CLIP * STRIDE, STRIDE)) for start in starts.tolist()]
    met = True
    with tempfile.TemporaryDirectory() as folder:
        frames = speckle_cine(FRAMES, *SIZE)
        for name, (codec, gop) in FILES.items():
            path = str(Path(folder, f"{name}.{'avi' if codec == 'mjpeg' else 'mp4'}"))
            write_video(path, frames, 25.0, codec=codec, crf=23, gop=gop)
            for color, kept in MODES:
                readers = {side: make(color, kept) for side, make in makers.items()}
                check({side: read(path, clips) for side, read in readers.items()})
                seconds = alternate({side: partial(read, path, clips) for side, read in readers.items()}, warm=False)
                speed = {side: CLIP * CLIPS / taken for side, taken in seconds.items()}
                print(", ".join(f"{side} {value:.0f}" for side, value in speed.items()), "frames/s")
                best = max(value for side, value in speed.items() if side != "usssl")
                figure = f"decode_{name}_{color}_{'kept' if kept else 'fresh'}"
                met &= ratio_line(figure, speed["usssl"] / best, GOAL)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
