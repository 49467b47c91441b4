"""What every op must keep: one draw a clip, static clips static, same seed same views, inputs untouched."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from usssl.augment import AnyOp, ClipBatch, Seeds, Stage, ViewAugmentation
from usssl.augment.affine import Affine
from usssl.augment.blur import GaussianBlur
from usssl.augment.colour import ColourJitter, Grey
from usssl.augment.crop import Crop, Flip, Resize, ResizedCrop, ShortSideCrop
from usssl.augment.cutout import TemporalCutout, TubeCutout
from usssl.augment.depth import DepthChange
from usssl.augment.echo import Gain, SectorMask, Shadow, TimeGain
from usssl.augment.frames import FrameDrop, Reversal, SegmentJitter, Shuffle
from usssl.augment.speckle import Speckle
from usssl.augment.temporal import DownUp, SpatioTemporalBlur, StaticBlend, TemporalBlur
from usssl.augment.tone import Gamma, GreyTone, Solarise

T, H, W = 6, 30, 40
OPS = [
    SegmentJitter(frames_out=3),
    Shuffle(intensity=0.8),
    Reversal(),
    FrameDrop(intensity=1.0),
    ResizedCrop(size=(20, 24)),
    ResizedCrop(size=(20, 24), within="sector", p=0.5),
    Crop(size=(16, 18)),
    Resize(size=(18, 50)),
    ShortSideCrop(short_side=(24, 28), size=(20, 22)),
    Flip(horizontal=0.5, vertical=0.5),
    Affine(),
    Affine(visible=0.7, inside=True),
    DepthChange(ratio=(0.6, 1.2)),
    Speckle(strength=(0.5, 1.0)),
    Gain(),
    TimeGain(),
    Shadow(p=1.0),
    SectorMask(opening=(0.5, 0.8)),
    GaussianBlur(sigma=(0.5, 2.0)),
    ColourJitter(p=1.0, hue=0.3),
    Grey(p=0.5),
    GreyTone(contrast=0.3),
    Gamma(gamma=(0.5, 2.0)),
    Solarise(p=1.0),
    StaticBlend(alpha=0.5),
    TemporalBlur(),
    SpatioTemporalBlur(),
    DownUp(),
    TemporalCutout(intensity=1.0),
    TubeCutout(intensity=1.0),
]
SPATIAL = [op for op in OPS if Stage.FRAMES < op.stage < Stage.TIME]
STILL = [op for op in OPS if not isinstance(op, TemporalCutout)]  # whose run of frames is what it is for
ENCODED = [op for op in OPS if hasattr(op, "encode")]
DRAWING = [op for op in SPATIAL if not isinstance(op, (Resize, Solarise))]
each_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
each_spatial_op = pytest.mark.parametrize("op", SPATIAL, ids=lambda op: op.name)
each_dtype = pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])


def moving(dtype=torch.uint8, batch=3, seed=0):
    clips = torch.randint(0, 256, (batch, T, 3, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return clips if dtype == torch.uint8 else clips.to(dtype) / 255


def drawn(op, clips, seed=0):
    return op.sample(ClipBatch(clips, sector=torch.tensor([4.0, 3, 36, 27]).expand(len(clips), 4)), generator(seed))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_every_op_of_recipes_is_tested_here():
    assert {type(op) for op in OPS} == set(get_args(get_args(AnyOp)[0]))


@each_spatial_op
@each_dtype
def test_a_clip_is_changed_as_each_frame_with_its_row(op, dtype):
    clips = moving(dtype)
    params = drawn(op, clips)
    whole = op.apply(clips, params)
    frames = torch.cat([op.apply(clips[:, t : t + 1], params) for t in range(T)], dim=1)
    torch.testing.assert_close(whole, frames, atol=1e-5, rtol=0)
    rows = torch.cat([op.apply(clips[i : i + 1], params.rows(slice(i, i + 1))) for i in range(3)])
    torch.testing.assert_close(whole, rows, atol=1e-5, rtol=0)


@pytest.mark.parametrize("op", STILL, ids=lambda op: op.name)
@each_dtype
def test_a_static_clip_stays_static(op, dtype):
    """methods/cvrl, property 5, for every op: no frame may differ from the first."""
    clips = moving(dtype)[:, :1].expand(-1, T, -1, -1, -1)
    out = op.apply(clips, drawn(op, clips))
    torch.testing.assert_close(out, out[:, :1].expand_as(out), atol=1e-6, rtol=0)


@each_spatial_op
def test_permuting_frames_commutes(op):
    clips, order = moving(), torch.tensor([3, 0, 5, 1, 4, 2])
    params = drawn(op, clips)
    assert torch.equal(op.apply(clips[:, order], params), op.apply(clips, params)[:, order])


@each_op
@each_dtype
def test_shape_type_range_and_input_are_kept(op, dtype):
    clips = moving(dtype)
    before = clips.clone()
    out = op.apply(clips, drawn(op, clips))
    assert torch.equal(clips, before)
    assert out.dtype == dtype
    assert out.shape[0] == 3
    assert out.shape[2] == 3
    assert torch.isfinite(out.float()).all()
    assert out.min() >= 0
    assert out.max() <= (255 if dtype == torch.uint8 else 1 + 1e-6)


@each_op
def test_grey_and_half_precision_clips(op):
    for dtype in (torch.float16, torch.bfloat16):
        clips = moving(torch.float32)[:, :, :1]
        params = drawn(op, clips)
        half = op.apply(clips.to(dtype), params)
        assert half.dtype == dtype
        assert half.shape[2] == 1
        full = op.apply(clips.to(dtype).float(), params)
        torch.testing.assert_close(half.float(), full, atol=4e-3, rtol=0)


@each_op
def test_the_same_seed_gives_the_same_and_another_seed_another(op):
    clips = moving()
    first, again, other = (drawn(op, clips, seed) for seed in (0, 0, 1))
    assert torch.equal(op.apply(clips, first), op.apply(clips, again))
    given = isinstance(op, (Reversal, Resize, Solarise, TemporalBlur, SpatioTemporalBlur, DownUp))
    assert given or not torch.equal(op.apply(clips, first), op.apply(clips, other))


@each_op
def test_records_have_a_row_a_clip_and_can_be_shown(op):
    params = drawn(op, moving())
    assert len(params) == 3
    assert all(len(value) == 3 for value in vars(params).values())
    assert set(params.row(1)) == set(vars(params))


@pytest.mark.parametrize("op", ENCODED, ids=lambda op: op.name)
def test_encodings_have_a_row_a_clip_and_follow_the_record(op):
    params = drawn(op, moving())
    encoded = op.encode(params)
    assert encoded.shape[0] == 3
    assert encoded.dtype == torch.float32
    assert torch.isfinite(encoded).all()
    assert torch.equal(op.encode(params.rows(slice(1, 3))), encoded[1:])


@each_op
def test_a_sample_is_augmented_alike_in_any_batch(op):
    """Whatever the workers, ranks and batches: the view depends on run seed, epoch, sample and view alone."""
    augmentation = ViewAugmentation(ops=[op])
    pixels = moving(batch=5)
    whole = augmentation(ClipBatch(pixels), Seeds.for_samples(1, 2, range(5)))
    for rows in ([3], [4, 1]):
        part = augmentation(ClipBatch(pixels[rows]), Seeds.for_samples(1, 2, rows))
        assert torch.equal(part.pixels, whole.pixels[rows])
        assert torch.equal(part.box.nan_to_num(-9), whole.box[rows].nan_to_num(-9))


@pytest.mark.parametrize("op", DRAWING, ids=lambda op: op.name)
def test_the_control_draws_for_each_frame(op):
    """Consistent off: a static clip moves."""
    clips = moving()[:, :1].expand(-1, T, -1, -1, -1)
    batch, seeds = ClipBatch(clips), Seeds.for_samples(0, 0, range(3))
    still = ViewAugmentation(ops=[op])(batch, seeds).pixels
    assert torch.equal(still, still[:, :1].expand_as(still))
    moves = ViewAugmentation(ops=[op], consistent=False)(batch, seeds)
    assert not torch.equal(moves.pixels, moves.pixels[:, :1].expand_as(moves.pixels))
    assert moves.pixels.shape == still.shape
    assert moves.box.isnan().all()
