"""What is burned into the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from usssl.phantom import Sector, sample_patient
from usssl.phantom.screen import LAYOUTS, Identity, area_px, draw_screen

SIZE = (240, 320)
ANNA = Identity("LINDENHOF^ADA", "12-345678", "2020-02-03", "09:41")
BERTA = Identity("OAKHURST^MIRA", "98-765432", "2019-11-12", "17:05")


def screen_of(layout, identity):
    sector = Sector(50.0, 34.0, 120.0, 40, 80, SIZE, area_px(layout, SIZE))
    return draw_screen(layout, identity, sector, 60.0, ("10.0cm", "Gn 0"))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.vendor)
def test_another_patient_changes_pixels_in_the_text_boxes_only(layout):
    one, other = screen_of(layout, ANNA), screen_of(layout, BERTA)
    changed = one.picture != other.picture
    assert changed.sum() > 100
    boxes = np.zeros(SIZE, bool)
    for left, top, right, bottom in (*one.text_boxes, *other.text_boxes):
        boxes[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2] = True
    assert not (changed & ~boxes).any()


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.vendor)
def test_depth_scale_is_true(layout):
    """A tick every centimetre: as far apart, in pixels, as the spacing of the image says."""
    sector = Sector(50.0, 34.0, 120.0, 40, 80, SIZE, area_px(layout, SIZE))
    screen = screen_of(layout, ANNA)
    column = round((0.975 if layout.scale_right else 0.055) * SIZE[1])
    _, face = sector.face_px
    for centimetre in range(1, 12):
        row = round(face + 10 * centimetre / sector.spacing_mm)
        assert screen.picture[row - 1 : row + 2, column].max() >= 150


def test_identifiers_are_burned_into_every_frame(cine):
    screen = cine.patient.screen
    for left, top, right, bottom in screen.text_boxes:
        text = screen.drawn[top:bottom, left:right] > 0
        assert text.sum() > 10
        for frame in cine.frames[::7]:
            assert (frame[top:bottom, left:right][text] == screen.picture[top:bottom, left:right][text]).all()


def test_vendors_differ():
    pictures = [screen_of(layout, ANNA).picture for layout in LAYOUTS]
    for k, picture in enumerate(pictures):
        assert all((picture != other).mean() > 0.01 for other in pictures[k + 1 :])


def test_the_screen_covers_the_image_but_no_more():
    screen = screen_of(LAYOUTS[0], ANNA)
    image = np.full(SIZE, 77, np.uint8)
    shown = screen.show(image)
    assert (shown[screen.drawn == 0] == 77).all()
    assert (image == 77).all()


def test_patients_have_names_of_their_own():
    found = [sample_patient(np.random.default_rng([0, number]), (60, 80)).identity for number in range(40)]
    assert len({(identity.name, identity.number) for identity in found}) == 40
    assert replace(ANNA, name="X^Y").name == "X^Y"
