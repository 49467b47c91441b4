"""order_transform's answers belong to its pixels: the target to the copy, and each head is shown what it is asked."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from usssl import methods
from usssl.arguments import ClipArguments
from usssl.methods import Clips
from usssl.methods.functional import order_loss
from usssl.methods.order_transform import OrderTransform
from usssl.models import encoders
from usssl.models.normalise import GREY_STD

HEIGHT, WIDTH = 96, 128


def build(**arguments: object) -> OrderTransform:
    torch.manual_seed(0)
    method = methods.build(
        "order_transform",
        encoder=encoders.build("sononet16", width=0.25),
        clip=ClipArguments(size=(HEIGHT, WIDTH)),
        **{"hidden": 16, "speckle": 0, "dropout": 0, "orders": 3, **arguments},
    )
    assert isinstance(method, OrderTransform)
    return method.eval()


def smooth_clips(batch: int = 6) -> Clips:
    """Frozen clips of smooth blobs, so that pixels may be compared after they were interpolated twice."""
    generator = torch.Generator().manual_seed(0)
    blobs = functional.interpolate(torch.rand(batch, 1, 10, 12, generator=generator), (192, 256), mode="bicubic")
    frames = (40 + 200 * blobs.clamp(0, 1)).to(torch.uint8)[:, None, None].expand(-1, 1, 4, -1, -1, -1).contiguous()
    return Clips(frames, torch.ones(batch, 192, 256, dtype=torch.bool), torch.arange(batch))


def moved_by(target: np.ndarray, arguments: object) -> np.ndarray:
    """The matrix `(2, 3)` that moves content as the page says: A = s R(a) Sh(q) about the centre, then the shift."""
    (low, high), limit = arguments.scale, arguments.shear
    angle = np.arctan2(target[1], target[0])
    scale, shear = (low + high) / 2 + target[4] * (high - low) / 2, np.radians(target[5] * limit)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1, np.tan(shear)], [0, 1]])
    centre = np.array([WIDTH / 2, HEIGHT / 2]) - 0.5  # OpenCV counts from the middle of the first pixel
    shift = centre - linear @ centre + target[2:4] * arguments.translation * [WIDTH, HEIGHT]
    return np.column_stack([linear, shift])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_clip_moved_by_the_target_is_its_copy(flip: float) -> None:
    method = build(flip=flip, brightness=0, gamma=0, crop=(0.5, 0.6))
    views = method.views(smooth_clips(), seed=0)
    assert (views["target"][:, 1:].abs().amax(dim=0) > 0.3).all(), "all parts of the transformation are asked"
    for clip, copy, target in zip(views["clip"], views["transformed"], views["target"].double().numpy(), strict=True):
        matrix = moved_by(target, method.arguments)
        moved = cv2.warpAffine(clip[0, 0].numpy(), matrix, (WIDTH, HEIGHT))
        inside = cv2.warpAffine(np.pad(np.ones((HEIGHT - 4, WIDTH - 4)), 2), matrix, (WIDTH, HEIGHT)) == 1
        assert inside.mean() > 0.4
        error, unmoved = (GREY_STD * np.abs(view - copy[0, 0].numpy())[inside] for view in (moved, clip[0, 0].numpy()))
        assert error.mean() < 1 < 10 < unmoved.mean(), "grey levels"


def test_the_tone_changes_each_view_by_itself_and_all_its_frames_alike() -> None:
    plain, toned = (build(brightness=b, gamma=b).augmented(smooth_clips(), seed=0) for b in (0.0, 0.25))
    changes = []
    for before, after in zip(plain, toned, strict=True):
        assert (after.pixels[:, 1:] == after.pixels[:, :1]).all()
        changes.append((after.pixels.float() - before.pixels.float()).mean(dim=(1, 2, 3, 4)))
    assert all((change.abs() > 2).any() for change in changes)
    assert (changes[0] - changes[1]).abs().max() > 2, "a clip and its copy have tones of their own"


@pytest.mark.parametrize("variant", ["parallel", "sequential"])
def test_the_transformation_is_told_from_both_views_and_the_order_from_those_that_are_shuffled(variant: str) -> None:
    method = build(variant=variant)
    if variant == "sequential":  # what is told of the shown frames alone; the rest of the head sees both views
        torch.nn.init.zeros_(method.disentangle.of_both.weight)
    views = method.views(smooth_clips(2), seed=0)
    views["clip"] += 0.1 * torch.randn(views["clip"].shape)  # frames that differ
    views["transformed"] += 0.1 * torch.randn(views["transformed"].shape)
    pixels = [views[name].requires_grad_() for name in ("clip", "transformed")]
    of_clip, of_copy = torch.autograd.grad(method(views)["order_loss"], pixels, allow_unused=True)
    assert of_copy is not None
    assert of_copy.abs().sum() > 0
    assert (of_clip.abs().sum() > 0) == (variant == "parallel")
    if variant == "parallel":
        for gradient in torch.autograd.grad(method(views)["transform_loss"], pixels):
            assert gradient.abs().sum() > 0


@pytest.mark.parametrize("variant", ["parallel", "sequential"])
def test_order_scores_are_those_that_the_loss_is_made_of(variant: str) -> None:
    method = build(variant=variant)
    views = method.views(smooth_clips(3), seed=0)
    views["clip"] += 0.1 * torch.randn(views["clip"].shape)
    swapped = views | {"clip": views["transformed"], "transformed": views["clip"]}
    shown = [views, swapped] if variant == "parallel" else [views]
    with torch.no_grad():
        scores = [method.order_scores(one) for one in shown]
        loss = method(views)["order_loss"]
    assert all(one.shape == (3, 3, 12) for one in scores)
    ours = [order_loss(one.flatten(0, 1), views["order"].flatten()) for one in scores]
    torch.testing.assert_close(torch.stack(ours).mean(), loss)
    assert scores[0].std(dim=(0, 1)).max() > 0


def test_all_pairs_of_frames_are_looked_at() -> None:
    assert sorted(build().pairs) == list(combinations(range(4), 2))
