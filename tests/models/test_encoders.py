"""Everything registered keeps the promises of `Encoder`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from usssl.errors import RecipeError
from usssl.models import encoders
from usssl.models.encoders import Encoder

NAMES = encoders.names()
OF_FRAMES = {"sononet16", "sononet32", "sononet64", "seresnext50_half", "resnet18", "resnet50"}
INEXACT = {"sononet16", "sononet32", "sononet64", "i3d", "s3d", "seresnext50_half"}
"""Where a denser map is another map: poolings are left out, or a squeeze takes its means over more cells."""
SIZE = (64, 96)


def clips(batch: int = 2, time: int = 8, channels: int = 1, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(batch, time, channels, *size, generator=torch.Generator().manual_seed(3))


def small(name: str, channels: int = 1, **arguments: int) -> Encoder:
    torch.manual_seed(1)
    return encoders.build(name, channels=channels, width=0.25, **arguments)


def test_the_encoders_of_the_documentation_are_there() -> None:
    assert set(NAMES) >= OF_FRAMES | {"r3d18", "r3d34", "r3d50", "r2plus1d18", "s3d", "i3d", "slowonly50"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown encoder 'resnet'; known are: .*resnet18"):
        encoders.build("resnet")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_have_the_promised_shape(name: str, channels: int) -> None:
    encoder = small(name, channels).eval()
    with torch.inference_mode():
        for time in (1, 5, 8):
            features = encoder.features(clips(2, time, channels))
            steps = -(-time // encoder.time_stride)
            grid = tuple(side // encoder.stride for side in SIZE)
            assert features.shape == (2, steps, encoder.dim, *grid), (name, time)
    pooled = encoder(clips(2, 8, channels))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, encoder.features(clips(2, 8, channels)).mean((-2, -1)))
    if name in OF_FRAMES:
        assert encoder.time_stride == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_shows_its_features(name: str) -> None:
    encoder = small(name).eval()
    with torch.inference_mode():
        layers = encoder.layers(clips())
        torch.testing.assert_close(layers[-1], encoder(clips()))
    assert len(layers) >= 4
    assert all(layer.ndim == 3 and len(layer) == 2 for layer in layers)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_denser_maps_come_from_the_same_weights(name: str, output_stride: int) -> None:
    encoder = small(name, output_stride=output_stride).eval()
    encoder.load_state_dict(small(name).state_dict())
    with torch.inference_mode():
        features = encoder.features(clips(1, 4))
    assert encoder.stride == output_stride
    assert features.shape[-2:] == (SIZE[0] // output_stride, SIZE[1] // output_stride)


@pytest.mark.parametrize("name", sorted(set(NAMES) - INEXACT))
def test_a_dilated_map_holds_the_strided_one_in_every_second_cell(name: str) -> None:
    coarse, dense = (small(name, output_stride=stride).eval() for stride in (16, 8))
    dense.load_state_dict(coarse.state_dict())
    with torch.inference_mode():
        expected = coarse.features(clips(1, 8))
        found = dense.features(clips(1, 8))
    torch.testing.assert_close(found[..., ::2, ::2], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_impossible_output_stride_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"output_stride is .* not 12"):
        small(name, output_stride=12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_reaches_every_parameter_and_every_frame(name: str, channels: int) -> None:
    encoder = small(name, channels).train()
    views = clips(3, 8, channels).requires_grad_()
    pooled = encoder(views)
    (pooled * torch.randn(pooled.shape, generator=torch.Generator().manual_seed(5))).sum().backward()
    silent = [label for label, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    assert views.grad is not None
    assert (views.grad.abs().sum((2, 3, 4)) > 0).all()


@pytest.mark.parametrize("name", sorted(set(NAMES) - OF_FRAMES))
def test_clip_encoders_see_frames_together_and_frame_encoders_do_not(name: str) -> None:
    shuffled = clips()[:, [3, 0, 7, 1, 5, 2, 6, 4]]
    for which, same in ((name, False), ("sononet16", True)):
        encoder = small(which).eval()
        with torch.inference_mode():
            a, b = encoder(clips()).mean(1), encoder(shuffled).mean(1)
        assert torch.allclose(a, b, atol=1e-5) == same


@pytest.mark.parametrize("name", NAMES)
def test_weights_make_the_round_trip_and_evaluation_repeats(name: str) -> None:
    trained = small(name).train()
    trained(clips())  # moves the running statistics
    trained.eval()
    torch.manual_seed(2)
    fresh = encoders.build(name, width=0.25).eval()
    with torch.inference_mode():
        expected = trained(clips())
        assert torch.equal(trained(clips()), expected)
        assert not torch.allclose(fresh(clips()), expected)
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(fresh(clips()), expected)
        alone = torch.cat([trained(clips()[:1]), trained(clips()[1:])])
    torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_bf16_stays_close_to_float32(name: str) -> None:
    encoder = small(name).train()
    encoder(clips(4))
    encoder.eval()
    with torch.inference_mode():
        expected = encoder(clips())
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(clips())
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    cosine = torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
    assert cosine > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_width_scales_the_channels_and_the_stem_alone_knows_the_colours(name: str) -> None:
    with torch.device("meta"):
        grey, rgb, half = (encoders.build(name, channels=c, width=w) for c, w in ((1, 1.0), (3, 1.0), (1, 0.5)))
    assert half.dim == grey.dim // 2
    differing = [k for k, v in grey.state_dict().items() if v.shape != rgb.state_dict()[k].shape]
    assert len(differing) == 1
    assert grey.state_dict()[differing[0]].shape[1] == 1
    assert rgb.state_dict()[differing[0]].shape[1] == 3
