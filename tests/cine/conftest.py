"""Small cines that the tests of reading share."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest


def moving_scene(frames: int = 40, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """Grey frames that all differ and survive lossy coding: a number in blocks over drifting smooth texture."""
    import cv2

    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(128, 400, (height, width * 2)).astype(np.float32), (0, 0), 4)
    scene = np.stack([np.roll(texture, 2 * n, axis=1)[:, :width] for n in range(frames)]).clip(20, 235).astype(np.uint8)
    for n, frame in enumerate(scene):
        for bit in range(8):
            frame[4:12, 4 + 10 * bit : 12 + 10 * bit] = 230 if n >> bit & 1 else 20
    return scene


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Reads the numbers that `moving_scene` wrote, so that a test can tell which frame it got."""
    grey = frames if frames.ndim == 3 else frames.mean(axis=-1)
    blocks = [grey[:, 6:10, 6 + 10 * bit : 10 + 10 * bit].mean(axis=(1, 2)) > 128 for bit in range(8)]
    return [int(sum(bits[n] << bit for bit, bits in enumerate(blocks))) for n in range(len(frames))]


def encode(path: Path, frames: np.ndarray, codec: str, fmt: str, pix: str = "yuv420p", **options: str) -> Path:
    """Encodes with any codec, as foreign software would."""
    with av.open(str(path), "w", format=fmt) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix
        stream.options = options
        for n, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "rgb24")
            picture.pts = n
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    return moving_scene()


@pytest.fixture(scope="session")
def mp4(tmp_path_factory: pytest.TempPathFactory, scene: np.ndarray) -> Path:
    """H.264 with B-frames and a key frame every 12 frames."""
    from usssl.cine import write_video

    return write_video(tmp_path_factory.mktemp("mp4") / "scene.mp4", scene, 25.0, gop=12)
