"""Random 16-frame clips, frames a second: from the prepared store over the best decoder of the original.

The original is long-GOP H.264, 640 x 480, 240 frames. The peers keep their reader open and give frames as they are,
neither cropped nor resized, which favours them.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GOAL = 30.0
FRAMES, HEIGHT, WIDTH = 240, 480, 640
SIZE = (168, 216)  # the default clip with its margin
CLIP, REPEATS = 16, 7
PEER_CLIPS, STORE_CLIPS = 6, 2000


def write_original(path: Path) -> None:
    """A textured pattern that drifts and flickers, so that motion has to be coded as in a real cine."""
    import cv2

    from usssl.cine import write_video

    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT + 2 * FRAMES, WIDTH + 2 * FRAMES)), (0, 0), 2.0)
    texture = np.clip(110 + 160 * texture, 20, 255)
    frames = (
        np.clip(texture[i : i + HEIGHT, 2 * i : 2 * i + WIDTH] + rng.normal(0, 4, (HEIGHT, WIDTH)), 0, 255)
        for i in range(FRAMES)
    )
    write_video(path, (frame.astype(np.uint8) for frame in frames), 30, gop=FRAMES)


def pyav(path: Path):
    import av

    container = av.open(str(path))
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    ticks = 1 / (stream.average_rate * stream.time_base)

    def read(start: int) -> int:
        container.seek(int(start * ticks), stream=stream)
        got = []
        for frame in container.decode(stream):
            number = round(frame.pts / ticks)
            if number >= start:
                got.append(frame.to_ndarray(format="gray"))
            if len(got) == CLIP:
                break
        return len(got)

    return read


def opencv(path: Path):
    import cv2

    capture = cv2.VideoCapture(str(path))

    def read(start: int) -> int:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        return sum(capture.read()[0] for _ in range(CLIP))

    return read


def decord(path: Path):
    try:
        from decord import VideoReader
    except ImportError:
        sys.exit("decord is not installed: `make bench` installs it (pip install 'usssl[bench]')")
    reader = VideoReader(str(path))
    return lambda start: len(reader.get_batch(range(start, start + CLIP)).asnumpy())


def rate(read, clips: int, rng: np.random.Generator) -> float:
    """Frames a second over random clips."""
    starts = rng.integers(0, FRAMES - CLIP + 1, clips)
    began = time.perf_counter()
    frames = sum(read(int(start)) for start in starts)
    seconds = time.perf_counter() - began
    if frames != clips * CLIP:
        sys.exit(f"a reader gave {frames} frames instead of {clips * CLIP}")
    return frames / seconds


def main() -> None:
    from usssl import progress
    from usssl.cine import open_cine, sector
    from usssl.data import index_folders, open_store, prepare

    progress.set_quiet(True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["USSSL_CACHE"] = str(folder / "cache")
        (folder / "cines").mkdir()
        original = folder / "cines" / "original.mp4"
        write_original(original)
        index_folders(folder / "cines", folder / "c.parquet", workers=1)
        prepare(folder / "c.parquet", folder / "store", size=SIZE, workers=1)
        store = open_store(folder / "store")
        with open_cine(original, color="grey") as cine:
            same = sector.resample(cine.read(range(100, 116)), sector.Window(*store.window(0)), SIZE)
        if not np.array_equal(store.read(0, range(100, 116)), same):
            sys.exit("the store does not hold the frames of the original")
        peers = {"PyAV": pyav(original), "OpenCV": opencv(original), "decord": decord(original)}
        rates: dict[str, list[float]] = {name: [] for name in (*peers, "store")}
        for repeat in range(REPEATS):
            rng = np.random.default_rng(repeat)
            for name, read in peers.items():
                rates[name].append(rate(read, PEER_CLIPS, rng))
            rates["store"].append(rate(lambda s: len(store.read(0, np.arange(s, s + CLIP))), STORE_CLIPS, rng))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("frames/s: " + ", ".join(f"{name} {value:.0f}" for name, value in medians.items()))
    ratio = medians["store"] / max(medians[name] for name in peers)
    print(f"RATIO decode_store {ratio:.1f} goal >={GOAL:.0f}")
    sys.exit(ratio < GOAL)


if __name__ == "__main__":
    main()
