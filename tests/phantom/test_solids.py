"""Shapes against their definitions; cutting against cutting without short cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.phantom.poses import pose_on_skin
from usssl.phantom.scene import sample_scene
from usssl.phantom.sector import Sector
from usssl.phantom.slicing import Atlas, distance
from usssl.phantom.solids import Beads, Ellipsoid, Plate, Rod, Shell, Solid, along, at
from usssl.phantom.tissues import LIVER

SECTOR = Sector(50.0, 34.0, 120.0, 40, 80, (120, 160), (10, 8, 155, 119))
coordinate = st.floats(-30, 30)


def at_point(shape, x: float, y: float, z: float) -> float:
    return float(shape.distance(*(np.array([value], np.float32) for value in (x, y, z)))[0])


@given(coordinate, coordinate, coordinate)
def test_a_ball_knows_its_distance(x, y, z):
    radius = float(np.sqrt(x * x + y * y + z * z))
    if radius > 0.1:
        assert at_point(Ellipsoid((7.0, 7.0, 7.0)), x, y, z) == pytest.approx(radius - 7.0, abs=1e-3)
        assert at_point(Shell((7.0, 7.0, 7.0), 2.0), x, y, z) == pytest.approx(abs(radius - 7.0) - 1.0, abs=1e-3)


@given(coordinate, coordinate, coordinate)
def test_an_even_rod_is_what_is_near_a_segment(x, y, z):
    nearest = np.clip(z, -10, 10)
    wanted = np.sqrt(x * x + y * y + (z - nearest) ** 2) - 3.0
    assert at_point(Rod(20.0, 3.0, 3.0), x, y, z) == pytest.approx(wanted, abs=1e-3)


@given(coordinate, coordinate, coordinate)
def test_an_ellipsoid_is_negative_inside(x, y, z):
    level = (x / 9) ** 2 + (y / 5) ** 2 + (z / 3) ** 2
    if abs(level - 1) > 1e-3:
        assert (at_point(Ellipsoid((9.0, 5.0, 3.0)), x, y, z) < 0) == (level < 1)


def test_beads_repeat_and_end():
    beads = Beads((1.0, 1.0, 0.5), 2.0, 8.0)
    assert at_point(beads, 0, 0, 4.0) < 0 < at_point(beads, 0, 0, 3.0)
    assert at_point(beads, 0, 0, 6.0) > 0


def test_a_plate_is_as_thick_as_it_says():
    plate = Plate(2.0, (9.0, 9.0, 9.0))
    assert at_point(plate, 0.9, 0, 0) < 0 < at_point(plate, 1.1, 0, 0)
    assert at_point(plate, 0, 9.5, 0) > 0


def test_a_slice_through_a_ball_is_a_disc():
    """A ball of 10 mm, 60 mm deep, 6 mm out of the plane: a disc of sqrt(100 - 36) = 8 mm."""
    ball = Solid("ball", Ellipsoid((10.0, 10.0, 10.0)), LIVER, at(0, 6.0, 60.0))
    pose = pose_on_skin(np.array([0.0, 0.0, 60.0]), np.array([0.0, 1.0, 0.0]))
    sector = Sector(50.0, 34.0, 120.0, 300, 600, (240, 320), (20, 16, 310, 238))
    [(_, window)] = Atlas([ball]).windows(pose, sector)
    inside = distance(ball, window, pose, sector) < 0
    area = (inside * sector.beam_spacing_mm()[window[1]][None]).sum() * sector.sample_mm
    assert area == pytest.approx(np.pi * 64, rel=0.02)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_short_cut_loses_a_part_of_a_solid(seed):
    """The part of the grid that `windows` gives for a solid holds every point of it, for any plane."""
    generator = np.random.default_rng(seed)
    scene = sample_scene(generator)
    solids = scene.fetus.solids()
    centre = scene.rest.outer(generator.normal(0, 30, 3))
    pose = pose_on_skin(np.array([*centre[:2], max(centre[2], 10)]), generator.normal(size=3) * [1, 1, 0.2])
    seen = pose.seen_from(scene.rest)
    # Solids of one name may be alike but for their place: they are told apart by identity.
    windows = {id(solid): window for solid, window in Atlas(solids).windows(seen, SECTOR)}
    everything = (slice(0, SECTOR.lines), slice(0, SECTOR.samples))
    for solid in solids:
        inside = distance(solid, everything, seen, SECTOR) < 0
        if id(solid) in windows:
            inside[windows[id(solid)]] = False
        assert not inside.any(), solid.name


def test_along_puts_a_rod_between_two_points():
    start, end = np.array([1.0, 2.0, 3.0]), np.array([4.0, -2.0, 3.0])
    place, length = along(start, end)
    assert length == pytest.approx(5.0)
    assert place.outer(np.array([0, 0, 2.5])) == pytest.approx(end)
    assert place.outer(np.array([0, 0, -2.5])) == pytest.approx(start)
    assert np.linalg.det(place.axes) == pytest.approx(1.0)
