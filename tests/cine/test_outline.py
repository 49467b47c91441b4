from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usssl.cine.outline import Outline, fit_outline


def fan(
    size: tuple[int, int] = (300, 400),
    half_angle: float = 35.0,
    near: float = 60.0,
    far: float = 290.0,
    box: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """An annular sector, bool `size`, whose face is at the top; `box` (x0, y0, x1, y1) cuts it."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    dx, dy = x - width / 2, y - (4 - near * np.cos(np.radians(half_angle)))
    angle, radius = np.degrees(np.arctan2(dx, dy)), np.hypot(dx, dy)
    inside = (np.abs(angle) <= half_angle) & (radius >= near) & (radius <= far)
    if box is not None:
        x0, y0, x1, y1 = box
        inside &= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return inside


def overlap(found: Outline | None, truth: np.ndarray) -> float:
    assert found is not None
    mask = found.mask(*truth.shape)
    return float((mask & truth).sum() / (mask | truth).sum())


@given(
    half_angle=st.floats(25, 45),
    near=st.floats(40, 120),
    depth=st.floats(150, 240),
    scale=st.sampled_from([0.35, 1, 2]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_fans_are_found_to_the_pixel_at_any_size(half_angle: float, near: float, depth: float, scale: float) -> None:
    size = (round(300 * scale), round(400 * scale))
    truth = fan(size, half_angle, near * scale, (near + depth) * scale)
    found = fit_outline(truth)
    assert overlap(found, truth) > (0.97 if scale < 1 else 0.985)
    assert found is not None
    assert found.slanted
    if scale >= 1:  # in smaller frames a face that is nearly flat is within the tolerance of a straight edge
        assert found.kind == "fan"
        assert found.near == pytest.approx(near * scale, abs=0.02 * size[0])


def test_a_fan_that_a_screen_cuts_has_its_box() -> None:
    truth = fan(half_angle=42, box=(60, 30, 330, 240))
    found = fit_outline(truth)
    assert overlap(found, truth) > 0.985
    assert found is not None
    assert found.box == pytest.approx((59.5, 29.5, 329.5, 239.5), abs=1)


def test_upright_and_slanted_straight_shapes() -> None:
    rectangle = np.zeros((200, 300), dtype=bool)
    rectangle[20:180, 40:250] = True
    found = fit_outline(rectangle)
    assert found is not None
    assert (found.kind, found.apex) == ("rectangle", None)
    assert overlap(found, rectangle) == 1
    trapezoid = np.zeros((200, 300), np.uint8)
    cv2.fillConvexPoly(trapezoid, np.array([[100, 10], [200, 10], [250, 190], [50, 190]]), 1)
    found = fit_outline(trapezoid > 0)
    assert found is not None
    assert found.kind == "trapezoid"
    assert overlap(found, trapezoid > 0) > 0.98


def test_dark_tissue_comes_back_where_the_convex_outline_cuts_it_off() -> None:
    truth = fan()
    lit = truth.copy()
    y, x = np.mgrid[:300, :400]
    lit &= ~((x < 170) & (y > 150) & (y + 0.6 * (170 - x) > 190))  # a shadow that takes the lower left corner
    hull = np.zeros(truth.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(lit.astype(np.uint8))), 1)
    assert ((hull > 0) & truth).sum() < 0.93 * truth.sum()
    assert overlap(fit_outline(lit), truth) > 0.98


def test_of_a_shape_that_is_none_nothing_is_claimed() -> None:
    cross = np.zeros((200, 200), dtype=bool)
    cross[90:110, 20:180] = cross[20:180, 90:110] = True
    assert fit_outline(cross) is None
    triangle = np.zeros((200, 200), np.uint8)
    cv2.fillConvexPoly(triangle, np.array([[10, 10], [190, 30], [90, 190]]), 1)
    assert fit_outline(triangle > 0) is None
    assert fit_outline(np.zeros((60, 60), dtype=bool)) is None
    assert fit_outline(np.pad(np.ones((4, 4), dtype=bool), 20)) is None


def test_a_margin_takes_as_much_from_every_edge() -> None:
    found = fit_outline(fan())
    assert found is not None
    outer, inner = (found.mask(300, 400, margin).astype(np.uint8) for margin in (0, 6))
    eroded = cv2.erode(outer, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    assert (inner != eroded).mean() < 0.01
