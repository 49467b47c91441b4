"""Where a sonographer goes: standard planes, near misses beside them, and slanted cuts on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from usssl.phantom.fetus import Fetus
from usssl.phantom.planes import PLANES, StandardPlane
from usssl.phantom.poses import Frame, Pose, pose_on_skin, rotation_between, unit

_FRAMES_PER_STOP = 24.0
_ALONG_THE_BODY = ("brain_transventricular", "brain_transcerebellar", "four_chamber", "abdomen", "femur")


@dataclass(frozen=True)
class Stop:
    """A pose that the hand goes to.

    Attributes:
        pose: where.
        dwell: how long it stays there, relative to the other stops and ways.
        search_mm: how far through the plane it creeps while it stays, looking for the best image.
        approach: how long the way to it takes.
        detour_mm: how far out of the plane the way to it swings.
    """

    pose: Pose
    dwell: float
    search_mm: float
    approach: float = 0.0
    detour_mm: float = 0.0

    def creeping(self, share: float) -> Pose:
        """The pose at `share` (0 to 1) of the stay."""
        return self.pose.moved(np.array([0.0, (share - 0.5) * self.search_mm, 0.0]), np.zeros(3))


def sample_stops(generator: np.random.Generator, fetus: Fetus, rest: Frame, frames: int) -> list[Stop]:
    """A random round over a fetus, with as many stops as fit into a cine of that many frames.

    Args:
        generator: source of chance.
        fetus: the fetus.
        rest: where it lies.
        frames: length of the cine.
    """
    planes = fetus.planes()
    stops: list[Stop] = []
    for name in _order(generator, frames):
        choices = [plane for plane in planes if plane.name == name]
        plane = choices[int(generator.integers(len(choices)))]
        if generator.random() < 0.45:
            stops.append(Stop(_near_miss(generator, plane, rest), generator.uniform(0.25, 0.6), generator.normal(0, 2)))
        creep = generator.normal(0, 1.0) * plane.tolerance_mm
        stops.append(Stop(_on_plane(generator, plane, rest), generator.uniform(0.6, 1.2), creep))
        if generator.random() < 0.25:
            stops.append(_beside(generator, plane, rest))
    if generator.random() < 0.6 or len(stops) < 2:
        first = min(planes, key=lambda plane: float(np.linalg.norm(rest.outer(plane.centre) - stops[0].pose.origin)))
        stops.insert(0, _beside(generator, first, rest))
    if generator.random() < 0.5:
        stops[0] = replace(stops[0], pose=stops[0].pose.turned_round())
    return _with_ways(generator, stops)


def _order(generator: np.random.Generator, frames: int) -> list[str]:
    """Which planes to visit: mostly along the body, up or down, sometimes criss-cross, seldom all of them."""
    count = int(np.clip(round(frames / _FRAMES_PER_STOP * generator.uniform(0.4, 0.85)), 1, len(PLANES)))
    if generator.random() < 0.3:
        return [str(name) for name in generator.choice(_ALONG_THE_BODY, count, replace=False)]
    # The two ends of the body belong to fewer runs of neighbours, so runs from there come more often.
    first = int(generator.choice([0, *range(len(PLANES) - count + 1), len(PLANES) - count]))
    chosen = _ALONG_THE_BODY[first : first + count]
    return list(chosen if generator.random() < 0.5 else chosen[::-1])


def _with_ways(generator: np.random.Generator, stops: list[Stop]) -> list[Stop]:
    """The stops with the ways between them, each seen from whichever side needs the smaller turn."""
    result = stops[:1]
    for stop in stops[1:]:
        last = result[-1].pose
        pose = min((stop.pose, stop.pose.turned_round()), key=lambda each: _turn(last, each))
        # Far ways take longer, yet less than in proportion.
        effort = float(np.linalg.norm(pose.origin - last.origin)) / 40 + _turn(last, pose) / 40
        approach = (0.4 + 0.9 * effort**0.8) * generator.uniform(0.8, 1.3)
        result.append(replace(stop, pose=pose, approach=approach, detour_mm=generator.normal(0, 6)))
    return result


def _turn(start: Pose, end: Pose) -> float:
    return float(np.linalg.norm(rotation_between(start.axes, end.axes)))


def _on_plane(generator: np.random.Generator, plane: StandardPlane, rest: Frame) -> Pose:
    pose = pose_on_skin(rest.outer(plane.centre), rest.axes @ plane.normal, generator.normal(0, 9))
    shift = np.array([generator.normal(0, 6), generator.normal(0, 0.2 * plane.tolerance_mm), 0.0])
    turn = np.array([generator.normal(0, 0.8), 0.0, generator.normal(0, 0.8)])
    return pose.moved(shift, turn)


def _near_miss(generator: np.random.Generator, plane: StandardPlane, rest: Frame) -> Pose:
    """Just beside the plane, or through it at a slant: the same anatomy, yet not the standard plane."""
    pose = _on_plane(generator, plane, rest)
    sign = float(generator.choice([-1.0, 1.0]))
    kind = generator.integers(3)
    if kind == 0:
        return pose.moved(np.array([0.0, sign * generator.uniform(3.0, 6.0) * plane.tolerance_mm, 0.0]), np.zeros(3))
    if kind == 1:
        return pose.moved(np.zeros(3), np.array([0.0, 0.0, sign * generator.uniform(20, 60)]))
    # Tilting about the lateral axis swings the far side of the image out of the plane.
    return pose.moved(np.zeros(3), np.array([sign * generator.uniform(9, 22), 0.0, 0.0]))


def _beside(generator: np.random.Generator, plane: StandardPlane, rest: Frame) -> Stop:
    """A short stop at some slanted plane a few centimetres away."""
    level = np.array([1.0, 1.0, 0.3])
    centre = rest.outer(plane.centre) + generator.normal(0, 18, 3) * level
    normal = unit(rest.axes @ plane.normal + generator.normal(0, 0.6, 3) * level)
    pose = pose_on_skin(np.maximum(centre, [-np.inf, -np.inf, 20.0]), normal, generator.normal(0, 10))
    return Stop(pose, generator.uniform(0.1, 0.4), generator.normal(0, 3))
