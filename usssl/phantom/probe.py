"""The sonographer's hand: a freehand path that passes and dwells on standard planes, near misses and nothing much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from usssl.phantom.fetus import Fetus
from usssl.phantom.planes import PLANES, StandardPlane
from usssl.phantom.poses import Frame, Pose, Vector, between, pose_on_skin, rotation, rotation_between, unit
from usssl.phantom.scene import Instant

_FRAMES_PER_STOP = 24.0
_ALONG_THE_BODY = ("brain_transventricular", "brain_transcerebellar", "four_chamber", "abdomen", "femur")


@dataclass(frozen=True)
class Stop:
    """A pose that the hand goes to.

    Attributes:
        pose: where.
        dwell: how long it stays there, relative to the other stops and ways.
        approach: how long the way to it takes.
        detour_mm: how far out of the plane the way to it swings.
    """

    pose: Pose
    dwell: float
    approach: float
    detour_mm: float = 0.0


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
        stops = _stops(generator, fetus, rest, frames)
        poses = _travel(stops, frames)
        poses = _hand(generator, poses, fps)
        return cls(tuple(poses), tuple(_child_moves(generator, rest, frames, fps)))


def _stops(generator: np.random.Generator, fetus: Fetus, rest: Frame, frames: int) -> list[Stop]:
    planes = fetus.planes()
    order = _order(generator, frames)
    stops: list[Stop] = []
    for name in order:
        choices = [plane for plane in planes if plane.name == name]
        plane = choices[int(generator.integers(len(choices)))]
        if generator.random() < 0.45:
            _add(generator, stops, _near_miss(generator, plane, rest), generator.uniform(0.25, 0.6))
        _add(generator, stops, _on_plane(generator, plane, rest), generator.uniform(0.6, 1.3))
        if generator.random() < 0.25:
            _add(generator, stops, _anywhere(generator, fetus, rest), generator.uniform(0.1, 0.4))
    if generator.random() < 0.5:
        stops.insert(0, Stop(_anywhere(generator, fetus, rest), generator.uniform(0.0, 0.3), 0.0))
        stops[1] = Stop(
            stops[1].pose, stops[1].dwell, _time_for(generator, stops[0].pose, stops[1].pose), stops[1].detour_mm
        )
    return stops


def _order(generator: np.random.Generator, frames: int) -> list[str]:
    """Which planes to visit: often along the body, up or down, sometimes criss-cross, not always all of them."""
    count = int(np.clip(round(frames / _FRAMES_PER_STOP * generator.uniform(0.5, 1.1)), 1, len(PLANES)))
    chosen = list(generator.choice(_ALONG_THE_BODY, count, replace=False))
    if generator.random() < 0.6:
        chosen.sort(key=_ALONG_THE_BODY.index, reverse=bool(generator.random() < 0.5))
    return [str(name) for name in chosen]


def _add(generator: np.random.Generator, stops: list[Stop], pose: Pose, dwell: float) -> None:
    """Appends a stop, seen from whichever side needs the smaller turn."""
    if not stops:
        if generator.random() < 0.5:
            pose = pose.turned_round()
        stops.append(Stop(pose, dwell, 0.0))
        return
    last = stops[-1].pose
    pose = min((pose, pose.turned_round()), key=lambda each: np.linalg.norm(rotation_between(last.axes, each.axes)))
    stops.append(Stop(pose, dwell, _time_for(generator, last, pose), generator.normal(0, 6)))


def _time_for(generator: np.random.Generator, start: Pose, end: Pose) -> float:
    """How long a way takes: longer for far ways, yet less than in proportion."""
    turn = float(np.linalg.norm(rotation_between(start.axes, end.axes)))
    effort = float(np.linalg.norm(end.origin - start.origin)) / 40 + turn / 40
    return float((0.45 + 0.55 * np.sqrt(effort)) * generator.uniform(0.8, 1.3))


def _on_plane(generator: np.random.Generator, plane: StandardPlane, rest: Frame) -> Pose:
    pose = pose_on_skin(rest.outer(plane.centre), rest.axes @ plane.normal, generator.normal(0, 9))
    shift = np.array([generator.normal(0, 6), generator.normal(0, 0.2 * plane.tolerance_mm), 0.0])
    turn = np.array([generator.normal(0, 0.8), 0.0, generator.normal(0, 0.8)])
    return pose.moved(shift, turn)


def _near_miss(generator: np.random.Generator, plane: StandardPlane, rest: Frame) -> Pose:
    """Just beside the plane, or through it at a slant: the same anatomy, yet not the standard plane."""
    pose = _on_plane(generator, plane, rest)
    sign = generator.choice([-1.0, 1.0])
    kind = generator.integers(3)
    if kind == 0:
        return pose.moved(np.array([0.0, sign * generator.uniform(3.0, 6.0) * plane.tolerance_mm, 0.0]), np.zeros(3))
    if kind == 1:
        return pose.moved(np.zeros(3), np.array([0.0, 0.0, sign * generator.uniform(20, 60)]))
    # Tilting about the lateral axis swings the far side of the image out of the plane.
    return pose.moved(np.array([0.0, 0.0, 0.0]), np.array([sign * generator.uniform(9, 22), 0.0, 0.0]))


def _anywhere(generator: np.random.Generator, fetus: Fetus, rest: Frame) -> Pose:
    """Some plane somewhere over the fetus."""
    r = fetus.trunk.radius
    centre = rest.outer(
        np.array([generator.normal(0, 0.4), generator.normal(0, 0.4), generator.uniform(-2.6, 3.6)]) * r
    )
    normal = unit(np.array([*generator.normal(size=2), generator.normal(0, 0.25)]))
    return pose_on_skin(np.array([centre[0], centre[1], rest.origin[2]]), normal, generator.normal(0, 12))


def _travel(stops: Sequence[Stop], frames: int) -> list[Pose]:
    """One pose a frame: dwells at stops, smooth ways between them, all of it shrunk or stretched to the given length."""
    lengths = np.array([part for stop in stops for part in (stop.approach, stop.dwell)])
    ends = np.cumsum(lengths)
    times = np.linspace(0, ends[-1], frames)
    poses = []
    for time in times:
        part = min(int(np.searchsorted(ends, time, side="left")), len(ends) - 1)
        stop = stops[part // 2]
        if part % 2 or part == 0 or lengths[part] == 0:
            poses.append(stop.pose)
            continue
        share = 1 - (ends[part] - time) / lengths[part]
        # The way of least jerk (Flash and Hogan, J Neurosci 5:1688, 1985).
        eased = share**3 * (10 - 15 * share + 6 * share**2)
        pose = between(stops[part // 2 - 1].pose, stop.pose, eased)
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
