"""Small labelled folders of cines for tests: bright shapes that wander over speckle, in a sector."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from usssl.cine import write_video

FRAMES, SIZE, FPS = 40, (96, 128), 20.0
PLANES = ("background", "disc", "bar")


def shape_frames(seed: int, frames: int = FRAMES) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Frames uint8 `(T, H, W)`, the plane of each, and where the shape is `(T, 2)` as x, y in 0..1."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    speckle = np.hypot(*rng.normal(size=(2, height, width * 2)))
    y, x = np.mgrid[:height, :width]
    sector = (np.hypot(x - width / 2, y + 20) < height + 18) & (np.abs(x - width / 2) < (y + 20) * 0.8)
    start, speed = rng.uniform(0.35, 0.5, 2), rng.uniform(0.1, 0.25)
    images, planes, places = [], [], []
    for t in range(frames):
        plane = PLANES[(3 * t // frames + seed) % 3]
        at = start + speed * np.array([t / frames, 0.5 * t / frames])
        image = 40 * speckle[:, t : t + width].copy()
        centre = (int(at[0] * width), int(at[1] * height))
        if plane == "disc":
            cv2.circle(image, centre, 14, 230, -1)
        elif plane == "bar":
            cv2.line(image, (centre[0] - 18, centre[1]), (centre[0] + 18, centre[1] + 8), 230, 6)
        images.append(np.where(sector, np.clip(image, 12, 255), 0).astype(np.uint8))
        planes.append(plane)
        places.append(at)
    return np.stack(images), planes, np.array(places)


def make_cine_folder(folder: Path, cines: int = 8, frames: int = FRAMES) -> Path:
    """Writes `cines` cines of as many patients with `labels.csv`, `frames.csv` and `gaze.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    labels: list[list[object]] = [["file", "patient", "split"]]
    planes: list[list[object]] = [["file", "frame", "time_s", "plane"]]
    gaze: list[list[object]] = [["file", "frame", "time_s", "x", "y"]]
    for number in range(cines):
        images, names, places = shape_frames(number, frames)
        file = f"cine{number}.mp4"
        write_video(folder / file, images, FPS)
        labels.append([file, f"patient{number}", ("train", "train", "train", "val", "test")[number % 5]])
        planes += [[file, t, t / FPS, name] for t, name in enumerate(names)]
        gaze += [[file, t, t / FPS, *xy] for t, xy in enumerate(places)]
    for name, rows in (("labels", labels), ("frames", planes), ("gaze", gaze)):
        with (folder / f"{name}.csv").open("w", newline="") as table:
            csv.writer(table).writerows(rows)
    return folder
