"""Where a sonographer looks: fixations on landmarks near the image, late and not quite on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from usssl.phantom.poses import Vector
from usssl.phantom.probe import ProbePath
from usssl.phantom.sector import Sector

SAMPLES_PER_FRAME = 3
"""Eye trackers run at some 90 Hz, scanners at some 30."""

_LAG_SECONDS = (0.10, 0.22)
_MISS = 0.012
_TREMOR = 0.005
_NEAR_MM = 3.0
_SALIENCY_SIGMA = 0.035
_SALIENCY_SECONDS = 0.2

_INTEREST = {
    "aorta behind the heart": 0.5,
    "cavum": 2.0,
    "cisterna magna": 1.2,
    "crux": 2.0,
    "left cerebellum": 1.6,
    "left plexus": 1.2,
    "midline": 0.7,
    "right cerebellum": 1.6,
    "right plexus": 1.2,
    "stomach": 2.0,
    "thalami": 0.7,
    "umbilical vein": 2.0,
}
"""How much a landmark draws the eye; 1 where nothing is said."""


@dataclass(frozen=True)
class Gaze:
    """Gaze samples of a cine.

    Attributes:
        frame: the frame of each sample.
        time_s: its time.
        position: where on the frame, (x, y), each 0 to 1.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    position: NDArray[np.float64]

    def saliency(self, frames: int, size: tuple[int, int], fps: float) -> NDArray[np.uint8]:
        """How much was looked at each place about the time of each frame.

        Args:
            frames: number of frames.
            size: the frame (height, width), in pixels.
            fps: frames a second.

        Returns:
            Maps `(frames, height / 4, width / 4)`, each scaled to a maximum of 255: sums of Gaussians at the gaze
            samples of the 0.2 s before and after; their standard deviation is 3.5 % of the width, some 1° of vision.
        """
        height, width = size[0] // 4, size[1] // 4
        counts = np.zeros((frames, height, width), np.float32)
        column = np.clip((self.position[:, 0] * width).astype(int), 0, width - 1)
        row = np.clip((self.position[:, 1] * height).astype(int), 0, height - 1)
        np.add.at(counts, (self.frame, row, column), 1)
        reach = max(1, round(_SALIENCY_SECONDS * fps))
        total = np.cumsum(np.concatenate([np.zeros((1, height, width), np.float32), counts]), axis=0)
        first = np.clip(np.arange(frames) - reach, 0, frames)
        last = np.clip(np.arange(frames) + reach + 1, 0, frames)
        maps = np.empty((frames, height, width), np.uint8)
        for k, window in enumerate(total[last] - total[first]):
            smooth = cv2.GaussianBlur(window, (0, 0), _SALIENCY_SIGMA * width)
            maps[k] = np.rint(255 * smooth / max(float(smooth.max()), 1e-9))
        return maps


def watch(
    generator: np.random.Generator, path: ProbePath, landmarks: Mapping[str, Vector], sector: Sector, fps: float
) -> Gaze:
    """The gaze of a sonographer who follows a cine.

    Args:
        generator: source of chance.
        path: what the probe and the fetus do.
        landmarks: what there is to look at, in the coordinates of the fetus.
        sector: the image.
        fps: frames a second.
    """
    seen, pull = _visible(path, landmarks, sector)
    frames = len(path.poses)
    lag = round(generator.uniform(*_LAG_SECONDS) * fps)
    position = np.empty((frames, 2))
    target, left, offset = -1, 0, np.zeros(2)
    rest = _resting_place(generator, sector)
    for k in range(frames):
        late = max(0, k - lag)
        if left <= 0 or (target >= 0 and pull[late, target] < 0.02):
            target = _next_target(generator, pull[late], target)
            left = int(fps * generator.gamma(6.0, 0.055)) + 2
            offset = generator.normal(0, _MISS, 2)
            rest = _resting_place(generator, sector)
        left -= 1
        position[k] = (seen[late, target] if target >= 0 else rest) + offset
    position = np.repeat(position, SAMPLES_PER_FRAME, axis=0)
    position += generator.normal(0, _TREMOR, position.shape)
    count = frames * SAMPLES_PER_FRAME
    return Gaze(
        np.repeat(np.arange(frames), SAMPLES_PER_FRAME),
        np.arange(count) / (fps * SAMPLES_PER_FRAME),
        np.clip(position, 0.0, 1.0),
    )


def _visible(path: ProbePath, landmarks: Mapping[str, Vector], sector: Sector) -> tuple[Vector, Vector]:
    """Places of landmarks on each frame, `(frames, landmarks, 2)`, and their pull on the eye, `(frames, landmarks)`."""
    points = np.stack(list(landmarks.values()))
    interest = np.array([_INTEREST.get(name, 1.0) for name in landmarks])
    height, width = sector.size
    seen = np.empty((len(path.poses), len(points), 2))
    pull = np.empty((len(path.poses), len(points)))
    for k, (pose, instant) in enumerate(zip(path.poses, path.instants, strict=True)):
        spots = pose.image_coordinates(instant.fetus.outer(points))
        x, y = sector.to_pixels(spots[:, 0], spots[:, 2])
        seen[k] = np.stack([(x + 0.5) / width, (y + 0.5) / height], axis=1)
        near = np.exp(-0.5 * (spots[:, 1] / _NEAR_MM) ** 2)
        pull[k] = interest * near * sector.shows(spots[:, 0], spots[:, 2])
    return seen, pull


def _next_target(generator: np.random.Generator, pull: Vector, last: int) -> int:
    """A landmark at random by its pull, seldom the same again; -1 where there is nothing to see."""
    pull = pull.copy()
    if last >= 0:
        pull[last] *= 0.3
    total = float(pull.sum())
    if generator.random() > total / (total + 0.25):
        return -1
    return int(generator.choice(len(pull), p=pull / total))


def _resting_place(generator: np.random.Generator, sector: Sector) -> Vector:
    """Somewhere in the middle of the image."""
    left, top, right, bottom = sector.area
    middle = np.array([(left + right) / 2 / sector.size[1], (top + bottom) / 2 / sector.size[0]])
    return np.asarray(middle + generator.normal(0, 0.07, 2))
