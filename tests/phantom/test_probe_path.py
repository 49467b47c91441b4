"""How the probe moves."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.phantom import PLANES, ProbePath
from usssl.phantom.planes import label
from usssl.phantom.poses import Pose, between, pose_on_skin, rotation
from usssl.phantom.stops import sample_stops


def visited(patient, seed: int) -> list[str]:
    """The standard planes of the stops of a path, in order."""
    scene = patient.scene
    planes = scene.fetus.planes()
    stops = sample_stops(np.random.default_rng(seed), scene.fetus, scene.rest, 96)
    names = [label(planes, stop.pose, scene.rest, patient.scanner.sector) for stop in stops]
    return [name for name in names if name in PLANES]


def test_paths_differ_in_planes_order_and_direction(patients):
    routes = {tuple(visited(patients[0], seed)) for seed in range(60)}
    along = ("brain_transventricular", "brain_transcerebellar")
    assert any(route[:2] == along for route in routes)
    assert any(route[:2] == along[::-1] for route in routes)
    assert {name for route in routes for name in route} == set(PLANES)
    assert all(len(set(route)) < len(PLANES) for route in routes)


def test_the_probe_moves_in_all_three_directions_and_turns(patients):
    scene = patients[0].scene
    path = ProbePath.sample(np.random.default_rng(2), scene.fetus, scene.rest, 96, 28.0)
    steps = [
        pose.axes.T @ (following.origin - pose.origin)
        for pose, following in zip(path.poses[:-1], path.poses[1:], strict=True)
    ]
    travelled = np.abs(steps).sum(axis=0)
    assert (travelled > 3.0).all()
    # A hand is never still, yet does not jump.
    length = np.linalg.norm(steps, axis=1)
    assert length.min() > 0.005
    assert length.max() < 20.0
    assert max(np.degrees(np.arccos(np.clip(a.elevation @ path.poses[0].elevation, -1, 1))) for a in path.poses) > 5


def test_background_is_the_same_anatomy(patients):
    """Most background frames cut the fetus: no hint that a frame without fetus is background."""
    scene = patients[0].scene
    spots = np.stack(list(scene.fetus.landmarks().values()))
    near = []
    for seed in range(6):
        path = ProbePath.sample(np.random.default_rng(seed), scene.fetus, scene.rest, 48, 28.0)
        for pose, instant in zip(path.poses, path.instants, strict=True):
            seen = pose.image_coordinates(instant.fetus.outer(spots))
            near.append((np.abs(seen[:, 1]) < 15).any())
    assert np.mean(near) > 0.9


def test_a_pose_on_the_skin_shows_its_plane():
    centre, normal = np.array([10.0, -5.0, 60.0]), np.array([1.0, 0.4, 0.2])
    pose = pose_on_skin(centre, normal, 12.0)
    assert pose.origin[2] == pytest.approx(0.0)
    assert pose.axes.T @ pose.axes == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(pose.axes) == pytest.approx(1.0)
    assert abs(pose.elevation @ normal) / np.linalg.norm(normal) == pytest.approx(1.0)
    assert pose.image_coordinates(centre)[:2] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_between_goes_the_shortest_way():
    start, end = Pose(np.zeros(3), np.eye(3)), Pose(np.array([10.0, 0, 0]), rotation((0.0, 0.0, 80.0)))
    middle = between(start, end, 0.5)
    assert middle.origin == pytest.approx([5.0, 0, 0])
    assert middle.axes == pytest.approx(rotation((0.0, 0.0, 40.0)))
    assert between(start, end, 1.0).axes == pytest.approx(end.axes)


def test_turned_round_shows_the_same_image_reversed():
    pose = pose_on_skin(np.array([3.0, 2.0, 50.0]), np.array([0.2, 1.0, 0.1]))
    point = np.array([8.0, 4.0, 40.0])
    lateral, elevation, axial = pose.image_coordinates(point)
    assert pose.turned_round().image_coordinates(point) == pytest.approx([-lateral, -elevation, axial])
