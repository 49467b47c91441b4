"""The fused path against the plain one, and the two back ends of the resampling against each other."""

from __future__ import annotations

import numpy as np
import plain_path
import pytest
import torch

from usssl.augment import Affine, ClipBatch, Seeds, ViewAugmentation, warp
from usssl.augment.crop import Flip, ResizedCrop
from usssl.augment.warp import warp_float

OPS = [
    {"name": "affine", "rotation": 10, "translation": 0.1, "scale": (0.9, 1.1), "shear": 5},
    {"name": "resized_crop", "size": (56, 56), "area": (0.3, 1.0)},
    {"name": "flip"},
    {"name": "gaussian_blur", "sigma": (0.1, 2.0), "radius": 5},
    {"name": "colour_jitter", "p": 1.0, "saturation": 0.4, "hue": 0.1},
    {"name": "grey", "p": 0.5},
]


def clips(batch=4, time=3, channels=3, size=(72, 96), grain=3.0):
    return torch.from_numpy(plain_path.texture((batch, time, channels, *size), grain))


@pytest.mark.parametrize("with_blur", [False, True])
def test_fused_is_within_two_grey_levels_of_unfused(with_blur):
    augmentation = ViewAugmentation(ops=[op for op in OPS if with_blur or op["name"] != "gaussian_blur"])
    pixels = clips()
    view = augmentation(ClipBatch(pixels), Seeds.for_samples(0, 0, range(4)))
    expected = plain_path.unfused(pixels.numpy(), augmentation, view.params)
    assert np.abs(view.pixels.numpy() - expected).mean() <= 2 / 255


def test_fused_on_real_cines(test_data):
    av = pytest.importorskip("av")
    path = test_data / "covid_blues" / "lus_videos" / "patient_11_L1.mp4"
    with av.open(str(path)) as container:
        decoded = zip(container.decode(video=0), range(6), strict=False)
        frames = [frame.to_ndarray(format="rgb24", width=96, height=72) for frame, _ in decoded]
    pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).reshape(2, 3, 3, 72, 96)
    augmentation = ViewAugmentation(ops=OPS)
    view = augmentation(ClipBatch(pixels), Seeds.for_samples(0, 0, range(2)))
    assert np.abs(view.pixels.numpy() - plain_path.unfused(pixels.numpy(), augmentation, view.params)).mean() <= 2 / 255


def test_fused_maps_are_as_sharp_as_one_ideal_resampling():
    """On detail so fine that resampling twice, as the plain path does, would visibly blur it."""
    pixels = clips(channels=1, grain=1.5)
    augmentation = ViewAugmentation(ops=OPS[:3])
    view = augmentation(ClipBatch(pixels), Seeds.for_samples(0, 0, range(4)))
    once = plain_path.geometry(pixels.numpy() / 255, view.matrices.numpy(), (56, 56))
    twice = plain_path.unfused(pixels.numpy(), augmentation, view.params)
    fused = view.pixels.numpy()
    assert np.abs(fused - once).mean() <= 2 / 255
    assert fused.std() > twice.std()


def test_several_maps_are_one_resampling():
    """A flip between two crops is exact: composed, nothing but the final box and its side remain."""
    pixels = clips(batch=1, channels=1)
    augmentation = ViewAugmentation(
        ops=[OPS[1], {"name": "flip", "horizontal": 1.0}, {"name": "flip", "horizontal": 1.0}]
    )
    view = augmentation(ClipBatch(pixels), Seeds.for_samples(0, 0, [1]))
    crop = ResizedCrop(size=(56, 56))
    alone = crop.apply(pixels, view.params["resized_crop"])
    assert torch.equal((view.pixels * 255).round().to(torch.uint8), alone)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_back_ends_agree_on_every_kind_of_map(dtype):
    pixels = clips(batch=8, channels=1)
    batch = ClipBatch(pixels)
    for op in (
        ResizedCrop(size=(40, 40)),
        Flip(),
        Affine(),
        Affine(scale=(0.3, 3.0)),
        Affine(visible=0.5, inside=True),
    ):
        matrices = op.matrices(op.sample(batch, Seeds.for_samples(0, 0, range(8))), batch.size)
        size = op.size_after(batch.size)
        fast, plain = warp(pixels, matrices, size), warp_float(pixels.to(dtype), matrices, size)
        apart = (fast.float() - plain.float()).abs()
        assert apart.mean() <= 0.5
        assert apart.max() <= 6


def test_resampling_agrees_with_scipy():
    pixels = clips(batch=4, time=1, channels=1)
    batch = ClipBatch(pixels)
    op = Affine(rotation=45, scale=(0.6, 1.5))
    matrices = op.matrices(op.sample(batch, Seeds.for_samples(0, 0, range(4))), batch.size)
    expected = plain_path.geometry(pixels.numpy().astype(float), matrices.numpy(), batch.size)
    apart = np.abs(warp(pixels, matrices, batch.size).numpy() - expected)
    assert apart.mean() <= 1.0


def test_the_edge_of_a_frame_is_not_darkened_by_a_crop_within_it():
    white = torch.full((1, 1, 1, 32, 32), 255, dtype=torch.uint8)
    matrix = torch.tensor([[[0.25, 0.0, 0.0], [0.0, 0.25, 0.0]]])
    assert warp(white, matrix, (32, 32)).min() == 255
    assert warp_float(white, matrix, (32, 32)).min() == 255


def test_outside_the_frame_is_black():
    white = torch.full((1, 1, 3, 32, 32), 255, dtype=torch.uint8)
    matrix = torch.tensor([[[1.0, 0.0, -16.0], [0.0, 1.0, 0.0]]])
    for moved in (warp(white, matrix, (32, 32)), warp_float(white, matrix, (32, 32))):
        assert moved[..., :16].max() == 0
        assert moved[..., 16:].min() == 255


@pytest.mark.parametrize("step", [1.3, 2.0, 3.7, 6.0])
def test_shrinking_does_not_alias(step):
    """Stripes too fine for the result become grey in both back ends."""
    stripes = torch.zeros(1, 1, 1, 96, 96, dtype=torch.uint8)
    stripes[..., ::2] = 255
    size = (int(96 / step), int(96 / step))
    matrix = torch.tensor([[[step, 0.0, 0.0], [0.0, step, 0.0]]])
    for small in (warp(stripes, matrix, size), warp_float(stripes, matrix, size)):
        assert (small[..., 1:-1, 1:-1].float() - 127.5).abs().mean() < 40  # a single sample a pixel gives 64


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("bfloat16", 5e-3)])
def test_half_precision_is_float32_rounded_once(dtype, tolerance):
    seeds = Seeds.for_samples(0, 0, range(4))
    ops = [*OPS, {"name": "tca", "alpha": 0.3}, {"name": "tube_cutout"}]
    full, half = (ViewAugmentation(ops=ops, dtype=d, mean=(0.5,), std=(0.2,)) for d in ("float32", dtype))
    a, b = full(ClipBatch(clips()), seeds).pixels, half(ClipBatch(clips()), seeds).pixels
    assert b.dtype == getattr(torch, dtype)
    assert torch.equal(a.to(b.dtype), b)
    assert (a - b.float()).abs().max() <= tolerance * a.abs().max()


def test_floating_clips_give_the_same_views_as_bytes():
    pixels, seeds = clips(), Seeds.for_samples(0, 0, range(4))
    augmentation = ViewAugmentation(ops=OPS)
    for floating in (pixels.float() / 255, (pixels.float() / 255).to(torch.bfloat16)):
        apart = augmentation(ClipBatch(pixels), seeds).pixels - augmentation(ClipBatch(floating), seeds).pixels
        assert apart.abs().mean() < 1.5 / 255


@pytest.mark.gpu
def test_the_gpu_gives_the_same_views():
    pixels, seeds = clips(), Seeds.for_samples(0, 0, range(4))
    augmentation = ViewAugmentation(ops=[*OPS, {"name": "tca"}])
    here = augmentation(ClipBatch(pixels), seeds).pixels
    there = augmentation(ClipBatch(pixels.cuda()), seeds).pixels
    assert there.is_cuda
    assert (here - there.cpu()).abs().mean() < 1 / 255
