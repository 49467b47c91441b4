"""Affine transforms: the numbers of methods/order_transform, and what a warp must keep."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from usssl.augment import Affine, AffineParams, ClipBatch, Seeds, affine_matrix, warp
from usssl.augment.geometry import corners, transform


def one(angle=0.0, scale=1.0, shear=0.0, shift=(0.0, 0.0)):
    tensors = (torch.tensor([float(x)], dtype=torch.float64) for x in (angle, scale, shear))
    return AffineParams(*tensors, translation=torch.tensor([shift], dtype=torch.float64))


def test_matrix_of_property_4():
    matrix = affine_matrix(torch.tensor([30.0]), torch.tensor([1.1]), torch.tensor([10.0]))
    expected = torch.tensor([[[0.952628, -0.382026], [0.55, 1.049608]]])
    torch.testing.assert_close(matrix, expected, atol=1e-6, rtol=0)
    assert torch.linalg.det(matrix.double()).item() == pytest.approx(1.21, abs=1e-6)


def test_target_of_property_3():
    op = Affine(rotation=180, translation=0.2, scale=(0.7, 1.3), shear=30)
    target = op.encode(one(30, 1.1, 10))
    expected = torch.tensor([[0.866025, 0.5, 0, 0, 0.333333, 0.333333]])
    torch.testing.assert_close(target, expected, atol=1e-6, rtol=0)
    predicted = torch.tensor([[0.8, 0.6, 0.1, -0.1, 0.2, 0.3]])
    assert torch.nn.functional.mse_loss(predicted, target).item() == pytest.approx(0.008874707, abs=1e-7)


def test_translation_is_measured_in_its_range():
    op = Affine(translation=0.2)
    assert op.encode(one(shift=(0.1, -0.2)))[0, 2:4].tolist() == pytest.approx([0.5, -1.0])


def test_identity_gives_the_identity_target_and_the_same_pixels():
    op = Affine(scale=(0.7, 1.3))
    clips = torch.randint(0, 256, (2, 3, 1, 24, 32), dtype=torch.uint8)
    params = op.identity(2)
    assert op.encode(params).tolist() == [[1, 0, 0, 0, 0, 0]] * 2
    assert torch.equal(op.apply(clips, params), clips)


def test_content_moves_by_the_matrix():
    """A dot at p (from the centre) is found at s R(a) Sh(q) p + d."""
    frame = torch.zeros(1, 1, 1, 201, 301, dtype=torch.float64)
    start = torch.tensor([40.0, 20.0], dtype=torch.float64)
    frame[0, 0, 0, 100 + 20, 150 + 40] = 1.0
    params = one(30, 1.1, 10, (10 / 301, -5 / 201))
    shown = Affine().apply(frame, params)[0, 0, 0]
    mass = shown / shown.sum()
    y, x = torch.meshgrid(torch.arange(201.0), torch.arange(301.0), indexing="ij")
    found = torch.stack([(mass * x).sum() - 150, (mass * y).sum() - 100])
    matrix = torch.tensor([[0.952628, -0.382026], [0.55, 1.049608]], dtype=torch.float64)
    expected = matrix @ start + torch.tensor([10.0, -5.0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_transform_commutes_with_the_permutation_of_frames():
    """order_transform, property 6."""
    clips = torch.randint(0, 256, (2, 4, 1, 32, 48), dtype=torch.uint8)
    op = Affine()
    params = op.sample(ClipBatch(clips), torch.Generator().manual_seed(1))
    order = torch.tensor([1, 3, 0, 2])
    assert torch.equal(op.apply(clips[:, order], params), op.apply(clips, params)[:, order])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_inside_shows_no_fill(seed, visible):
    op = Affine(rotation=45, translation=0.1, scale=(0.8, 1.2), shear=20, visible=visible, inside=True)
    clips = torch.full((8, 1, 1, 56, 72), 255, dtype=torch.uint8)
    params = op.sample(ClipBatch(clips), torch.Generator().manual_seed(seed))
    seen = transform(op.matrices(params, (56, 72)), corners((56, 72), 8))
    assert (seen > -1e-3).all()
    assert (seen < torch.tensor([72.0, 56.0]) + 1e-3).all()
    assert op.apply(clips, params).min() == 255


def test_without_inside_the_whole_range_is_drawn():
    params = Affine(rotation=45, scale=(0.8, 1.2)).sample(
        ClipBatch(torch.zeros(4000, 1, 1, 2, 2)), Seeds.of(None, 4000)
    )
    assert params.angle_deg.min() < -44 and params.angle_deg.max() > 44  # noqa: PT018
    assert params.angle_deg.std().item() == pytest.approx(45 / math.sqrt(3), rel=0.05)
    assert params.scale.mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", (1.2, 0.8)),
        ("scale", (0.0, 1.0)),
        ("rotation", math.nan),
        ("rotation", -1),
        ("visible", 1.5),
        ("spin", 3),
    ],
)
def test_impossible_arguments_are_refused_with_their_key(key, value):
    with pytest.raises(ValidationError, match=key):
        Affine(**{key: value})


def test_shrinking_averages_and_does_not_alias():
    stripes = torch.zeros(1, 1, 1, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 255
    matrix = torch.tensor([[[4.0, 0, 0], [0, 4.0, 0]]])
    small = warp(stripes, matrix, (16, 16))
    assert (small.float() - 127.5).abs().max() <= 1
