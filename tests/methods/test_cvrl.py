"""CVRL as a whole: its head, its loss, and what its gradient reaches."""

from __future__ import annotations

import pytest
import torch

from tests.methods.tiny import CLIP, TinyEncoder, build, fake_views
from usssl import methods
from usssl.arguments import ClipArguments
from usssl.augment import ClipBatch, Seeds
from usssl.methods.functional import nt_xent
from usssl.models import encoders


def test_the_head_of_the_released_code_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        method = methods.build("cvrl", encoder=TinyEncoder(dim=2048), clip=CLIP)
    assert sum(parameter.numel() for parameter in method.head.parameters()) == 12_863_616
    kinds = [type(layer).__name__ for layer in method.head]
    assert kinds == ["Linear", "CrossRankBatchNorm", "ReLU"] * 3 + ["Linear"]
    assert method.head[1].momentum == 0.003
    assert method.head[1].eps == 1e-5
    assert method.head[-1].out_features == 128


def test_shapes_and_sizes_of_the_page() -> None:
    """methods/cvrl, section 4 and property 6: 16 x 224 x 224 to 8 x 7 x 7 maps of 2048, an embedding of 128."""
    with torch.device("meta"):
        encoder = encoders.build("r3d50", channels=3)
        assert sum(parameter.numel() for parameter in encoder.parameters()) == 31_672_128
        method = methods.build("cvrl", encoder=encoder, clip=ClipArguments(frames=16, step=2, size=(224, 224)))
        clips = torch.empty(2, 16, 3, 224, 224)
        assert encoder.features(clips).shape == (2, 8, 2048, 7, 7)
        assert method.pooled(clips).shape == (2, 2048)
        assert method.head(method.pooled(clips)).shape == (2, 128)


def test_the_loss_is_nt_xent_of_both_views_summed_over_directions() -> None:
    method, views = build("cvrl"), fake_views("cvrl")
    a, b = method.head(method.pooled(torch.cat([views["first"], views["second"]]))).chunk(2)
    torch.testing.assert_close(method(views)["loss"], nt_xent(a, b, 0.1, reduction="sum"))
    mean = build("cvrl", reduction="mean")(views)["loss"]
    assert method(views)["loss"].item() == pytest.approx(2 * mean.item(), rel=1e-5)


def test_every_frame_of_both_views_gets_gradient() -> None:
    encoder = encoders.build("r3d50", channels=1, width=1 / 16)
    method, views = methods.build("cvrl", encoder=encoder, clip=CLIP, hidden=16, dim=8), fake_views("cvrl")
    for view in ("first", "second"):
        views[view] = torch.cat([views[view], views[view].flip(1)], dim=1).requires_grad_()
    method(views)["loss"].backward()
    for view in ("first", "second"):
        assert views[view].grad.shape[:2] == (8, 8)
        assert (views[view].grad.abs().sum(dim=(2, 3, 4)) > 0).all()


@pytest.mark.parametrize("ultrasound", [True, False])
def test_views_of_permuted_frames_are_permuted_views(ultrasound: bool) -> None:
    """One draw a clip, and nothing looks at neighbouring frames or at the statistics of a frame's place."""
    pixels = torch.randint(0, 256, (8, 4, 1 if ultrasound else 3, 40, 40), dtype=torch.uint8)
    order, seeds = [2, 0, 3, 1], Seeds.for_samples(0, 0, range(8))
    for view in build("cvrl", ultrasound=ultrasound, flip=0.5).augmentations():
        torch.testing.assert_close(
            view(ClipBatch(pixels[:, order]), seeds).pixels, view(ClipBatch(pixels), seeds).pixels[:, order]
        )


def test_swapping_views_or_permuting_cines_changes_nothing() -> None:
    method, views = build("cvrl"), fake_views("cvrl")
    loss = method(views)["loss"]
    swapped = views | {"first": views["second"], "second": views["first"]}
    torch.testing.assert_close(method(swapped)["loss"], loss, atol=1e-4, rtol=1e-4)
    order = torch.tensor([3, 1, 0, 2, 7, 5, 6, 4])
    torch.testing.assert_close(
        method({name: value[order] for name, value in views.items()})["loss"], loss, atol=1e-4, rtol=1e-4
    )
