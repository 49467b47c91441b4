"""The sonographer's hand, and the fetus under it: how both move from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from usssl.phantom.fetus import Fetus
from usssl.phantom.poses import Frame, Pose, Vector, between, rotation
from usssl.phantom.scene import Instant
from usssl.phantom.stops import Stop, sample_stops


@dataclass(frozen=True)
class ProbePath:
    """Where the probe and the fetus are in each frame.

    Attributes:
        poses: the image plane of each frame, in the mother's space.
        instants: how the fetus lies in each frame.
    """

    poses: tuple[Pose, ...]
    instants: tuple[Instant, ...]

    @classmethod
    def sample(cls, generator: np.random.Generator, fetus: Fetus, rest: Frame, frames: int, fps: float) -> ProbePath:
        """A random path over a fetus.

        Args:
            generator: source of chance.
            fetus: the fetus.
            rest: where it lies while it does not move.
            frames: length of the path.
            fps: frames a second.
        """
        stops = sample_stops(generator, fetus, rest, frames)
        poses = _travel(stops, frames)
        poses = _hand(generator, poses, fps)
        return cls(tuple(poses), tuple(_child_moves(generator, rest, frames, fps)))


def _travel(stops: Sequence[Stop], frames: int) -> list[Pose]:
    """One pose a frame: stays at stops, smooth ways between them, all shrunk or stretched to the given length."""
    lengths = np.array([part for stop in stops for part in (stop.approach, stop.dwell)])
    ends = np.cumsum(lengths)
    times = np.linspace(0, ends[-1], frames)
    poses = []
    for time in times:
        part = min(int(np.searchsorted(ends, time, side="left")), len(ends) - 1)
        stop = stops[part // 2]
        share = 1 - (ends[part] - time) / max(lengths[part], 1e-9)
        if part % 2 or part == 0:
            poses.append(stop.creeping(share if part % 2 else 0.0))
            continue
        # The way of least jerk (Flash and Hogan, J Neurosci 5:1688, 1985).
        eased = share**3 * (10 - 15 * share + 6 * share**2)
        pose = between(stops[part // 2 - 1].creeping(1.0), stop.creeping(0.0), eased)
        swing = np.sin(np.pi * eased) * stop.detour_mm
        poses.append(pose.moved(np.array([0.3 * swing, swing, 0.0]), np.array([0.8 * swing, 0.0, 0.0])))
    return poses


def _hand(generator: np.random.Generator, poses: Sequence[Pose], fps: float) -> list[Pose]:
    """The same poses with the tremor of a hand and the mother's breathing."""
    frames = len(poses)
    shift = _wander(generator, frames, fps, 0.35, 3) * np.array([0.35, 0.30, 0.15])
    turn = _wander(generator, frames, fps, 0.45, 3) * np.array([0.35, 0.40, 0.35])
    time = np.arange(frames) / fps
    breath = np.sin(2 * np.pi * (time * generator.uniform(0.2, 0.33) + generator.random()))
    shift += breath[:, None] * generator.normal(0, 0.4, 3) * np.array([1.0, 0.7, 1.0])
    return [pose.moved(shift[k], turn[k]) for k, pose in enumerate(poses)]


def _child_moves(generator: np.random.Generator, rest: Frame, frames: int, fps: float) -> list[Instant]:
    """The fetus drifts, now and then kicks, and its heart beats."""
    drift = _wander(generator, frames, fps, 1.2, 6)
    time = np.arange(frames) / fps
    kick = np.zeros(frames)
    if generator.random() < 0.35:
        kick = np.exp(-0.5 * ((time - generator.uniform(0, time[-1] + 1e-6)) / generator.uniform(0.12, 0.3)) ** 2)
    shift = drift[:, :3] * 0.5 + kick[:, None] * generator.normal(0, 1.8, 3)
    turn = drift[:, 3:] * 0.4 + kick[:, None] * generator.normal(0, 2.0, 3)
    heart = time * generator.uniform(2.1, 2.65) + generator.random()
    return [
        Instant(Frame(rest.axes @ rotation(turn[k]), rest.origin + shift[k]), float(heart[k] % 1.0))
        for k in range(frames)
    ]


def _wander(generator: np.random.Generator, frames: int, fps: float, seconds: float, channels: int) -> Vector:
    """Smooth random motion about 0, standard deviation 1, `(frames, channels)`, that changes over some `seconds`."""
    keep = float(np.exp(-1 / (fps * seconds / 2)))
    noise = generator.normal(size=(frames + 64, channels))
    for _ in range(2):
        for k in range(1, len(noise)):
            noise[k] = keep * noise[k - 1] + (1 - keep) * noise[k]
    # Variance of white noise after two such filters in a row.
    gain = (1 - keep) ** 4 * (1 + keep**2) / (1 - keep**2) ** 3
    return np.asarray(noise[64:] / np.sqrt(gain))
