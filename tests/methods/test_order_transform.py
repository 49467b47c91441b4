"""order_transform as a whole: what its views show, what its losses reach, and what cannot give the answer away."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from usssl import methods
from usssl.arguments import ClipArguments
from usssl.augment.geometry import compose, transform
from usssl.augment.seeds import Seeds
from usssl.data.sampling import Timeline
from usssl.errors import RecipeError
from usssl.methods import Clips
from usssl.methods.functional import order_label
from usssl.methods.order_transform import OrderTransform, _edge, _inside, shuffle
from usssl.models import encoders

SIZE = (56, 72)


def fan(height: int = 84, width: int = 108) -> torch.Tensor:
    """A curved-array sector: between two radii, within 40 degrees of the middle."""
    y, x = np.mgrid[:height, :width] + 0.5
    dx, dy = x - width / 2, y + 20
    radius, angle = np.hypot(dx, dy), np.degrees(np.arctan2(dx, dy))
    return torch.from_numpy((radius > 24) & (radius < height + 18) & (np.abs(angle) < 38))


def clips(batch: int = 8, *, frozen: bool = False) -> Clips:
    generator = torch.Generator().manual_seed(1)
    sector = fan().expand(batch, -1, -1).contiguous()
    frames = torch.randint(20, 255, (batch, 4, *sector.shape[1:]), generator=generator, dtype=torch.uint8)
    if frozen:
        frames = frames[:, :1].expand_as(frames)
    return Clips((frames * sector[:, None])[:, None, :, None], sector, torch.arange(batch))


def build(**arguments: object) -> OrderTransform:
    torch.manual_seed(0)
    encoder = encoders.build("sononet16", width=0.25)
    method = methods.build("order_transform", encoder=encoder, clip=ClipArguments(size=SIZE), **arguments)
    assert isinstance(method, OrderTransform)
    return method


def test_shapes_of_views_and_losses() -> None:
    method = build()
    views = method.views(clips(), seed=0)
    assert views["clip"].shape == views["transformed"].shape == (8, 4, 1, *SIZE)
    assert views["shuffles"].shape == (8, 12, 4)
    assert views["order"].shape == (8, 12)
    assert views["target"].shape == (8, 6)
    losses = method(views)
    assert set(losses) == {"loss", "order_loss", "transform_loss", "order_accuracy"}
    assert losses["loss"].item() == pytest.approx(losses["order_loss"].item() + losses["transform_loss"].item())


def test_the_same_seed_gives_the_same_views_whatever_the_batch() -> None:
    method, whole = build(), clips()
    half = Clips(whole.frames[4:], whole.sector[4:], whole.samples[4:], whole.cines[4:])
    one, other = method.views(whole, seed=3), method.views(half, seed=3)
    for name in one:
        torch.testing.assert_close(one[name][4:], other[name])
    assert not torch.equal(one["order"], method.views(whole, seed=4)["order"])


def test_no_view_shows_anything_from_outside_the_sector() -> None:
    method, batch = build(), clips(64)
    placing, params = method._placing(batch.sector, Seeds.for_samples(0, 0, batch.samples))
    edge = _edge(batch.sector, SIZE)
    for matrices in (placing, compose(placing, method._back(params))):
        assert _inside(batch.sector, transform(matrices, edge)[:, None]).all()
    assert params.angle_deg.std() > 8, "transformations are drawn, not all shrunk away"
    assert (params.angle_deg == 0).float().mean() < 0.1


def test_views_differ_by_the_transformation_alone_within_one_aperture() -> None:
    method = build(rotation=0, translation=0, scale=(1, 1), shear=0, brightness=0, gamma=0, speckle=0)
    views = method.views(clips(), seed=0)
    torch.testing.assert_close(views["clip"], views["transformed"])
    assert views["target"][:, :4].tolist() == [[1, 0, 0, 0]] * 8
    dark = views["clip"].amax(dim=(1, 2)) == views["clip"].min()
    outside = method._aperture(clips().sector)[0, 0, 0] == 0
    assert dark[:, outside].all(), "the aperture is the sector's, whatever the crop"
    assert dark[:, ~outside].float().mean() < 0.01


def test_a_mirrored_clip_stays_within_a_lopsided_sector() -> None:
    batch = clips(16)
    left = batch.sector & (torch.arange(batch.sector.shape[-1]) < 64)
    batch = Clips(batch.frames, left, batch.samples)
    plain, mirrored = (build(flip=flip, speckle=0).augmented(batch, seed=0) for flip in (0.0, 1.0))
    for view, handed in ((plain[0], 1), (mirrored[0], -1)):
        assert (view.matrices[:, 0, 0].sign() == handed).all()
        lit = view.pixels.amax(dim=(1, 2)) > 0
        assert lit.flatten(1).any(dim=1).all()
        points = [(row.nonzero().double() + 0.5).flip(-1)[::17] for row in lit]
        for row, found in enumerate(points):
            assert _inside(left[row : row + 1], transform(view.matrices[row : row + 1], found[None])[:, None]).all()
    middle = [
        (view[0].pixels.float().mean(dim=(0, 1, 2, 3)) > 20).nonzero().double().mean() for view in (plain, mirrored)
    ]
    assert middle[0] < SIZE[1] / 2 < middle[1], "the picture of a sector at the left lies at the right"


def test_added_speckle_differs_from_frame_to_frame_and_leaves_black_black() -> None:
    still = clips(4, frozen=True)
    plain, speckled = (build(speckle=strength).augmented(still, seed=0)[0] for strength in (0.0, 0.5))
    assert "speckle" not in plain.params
    drawn = speckled.params["speckle"].strength
    assert drawn.shape == (4 * 4,), "a row a frame travels with the view"
    assert 0 <= drawn.min() < drawn.max() <= 0.5
    quiet, noisy = plain.pixels.float(), speckled.pixels.float()
    assert (quiet[:, 1:] == quiet[:, :1]).all()
    assert (noisy[:, 1:] - noisy[:, :1]).abs().mean() > 1
    outside = build()._aperture(still.sector)[:, :, :] == 0
    assert noisy[outside.expand_as(noisy)].max() == 0


def test_a_frozen_clip_has_no_order_to_find() -> None:
    method = build(dropout=0, speckle=0).eval()
    with torch.no_grad():
        views = method.views(clips(32, frozen=True), seed=0)
        features = method.encoder(views["clip"])
        logits = method.order_logits(shuffle(features, views["shuffles"]))
    assert features.std(dim=1).max() < 1e-5
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits), atol=1e-3, rtol=1e-3)


def test_shuffling_features_is_shuffling_frames() -> None:
    method = build().eval()
    with torch.no_grad():
        views = method.views(clips(3), seed=0)
        shuffled = shuffle(method.encoder(views["clip"]), views["shuffles"])
        rows = torch.arange(3)[:, None]
        for number in range(3):
            frames = views["clip"][rows, views["shuffles"][:, number]]
            torch.testing.assert_close(method.encoder(frames), shuffled[:, number], atol=1e-5, rtol=1e-4)
    labels = [[order_label(tuple(order)) for order in orders] for orders in views["shuffles"].tolist()]
    assert views["order"].tolist() == labels


def test_a_reversed_clip_has_the_same_label_and_the_label_needs_no_direction() -> None:
    method = build()
    views = method.views(clips(), seed=0)
    reverse = [[order_label(tuple(order[::-1])) for order in orders] for orders in views["shuffles"].tolist()]
    assert views["order"].tolist() == reverse


def test_losses_reach_their_own_heads_alone() -> None:
    for loss, reached, untouched in (
        ("order_loss", "order_head", "transform_head"),
        ("transform_loss", "transform_head", "order_head"),
    ):
        method = build()
        method(method.views(clips(), seed=0))[loss].backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in getattr(method, reached).parameters())
        assert all(p.grad is None for p in getattr(method, untouched).parameters())
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.encoder.parameters())


def test_without_weight_the_transform_head_learns_nothing() -> None:
    method = build(transform_weight=0)
    method(method.views(clips(), seed=0))["loss"].backward()
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in method.transform_head.parameters())


def test_an_untrained_method_is_near_chance() -> None:
    method = build().eval()
    with torch.no_grad():
        losses = method(method.views(clips(32), seed=0))
    assert losses["order_loss"].item() == pytest.approx(np.log(12), abs=0.3)


def test_an_encoder_that_sees_frames_together_is_refused() -> None:
    for name in ("r3d18", "slowonly50"):  # one gives fewer steps than frames, the other a step a frame
        with pytest.raises(RecipeError, match="sees frames together"):
            methods.build("order_transform", encoder=encoders.build(name, width=0.0625), clip=ClipArguments(size=SIZE))


def test_clips_start_where_every_step_moves_and_slow_ones_do_not_drown_fast_ones() -> None:
    motion = np.array([0.1] * 10 + [2.0] * 30 + [0.1] * 2 + [20.0] * 6)
    weights = build().sampler().weights(motion)
    assert (weights[motion < 1] == 0).all()
    slow, fast = weights[motion == 2].sum(), weights[motion == 20].sum()
    assert slow == pytest.approx(fast)
    sampler = build().sampler()
    assert (sampler.frames, sampler.stride, sampler.min_motion) == (4, 8, 1.0)
    assert sampler.prepare(Timeline.regular(20, 30.0), np.zeros((20, 8, 8), np.uint8)) is None
