"""The views that methods make of real batches: which frames, which draws, and that every method learns from them."""

from __future__ import annotations

import pytest
import torch

from tests.cines import make_cine_folder
from tests.methods.tiny import SMALL, TinyEncoder, build
from usssl import methods
from usssl.arguments import ClipArguments
from usssl.data import Store, resolve_source
from usssl.engine.batches import ClipBatches
from usssl.methods import Clips, Method

NAMES = sorted(set(SMALL) - {"order_transform"})  # it makes its views itself; see test_order_transform.py


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return resolve_source(str(make_cine_folder(folder, cines=8)), size=(48, 48), workers=0)


def batches(store: Store, method: Method, batch: int = 8) -> ClipBatches:
    return ClipBatches(store, range(len(store)), method.sampler(), batch, seed=0)


def same(clips: Clips, rows: slice) -> Clips:
    names = ("frames", "sector", "samples", "cines", "times_s", "looped", "window", "spacing_mm")
    return Clips(**{name: getattr(clips, name)[rows] for name in names})


@pytest.mark.parametrize("name", NAMES)
def test_views_have_the_shapes_that_the_loss_takes_and_are_normalised(store: Store, name: str) -> None:
    method = build(name)
    views = method.views(batches(store, method)[0], seed=0)
    pixels = {key: value for key, value in views.items() if value.ndim >= 5}
    expected = {
        "cvrl": {"first": (8, 4), "second": (8, 4)},
        "vtdl": {"anchor": (8, 4), "positive": (8, 4), "negative": (8, 4)},
        "cate": {"a": (8, 4), "b": (8, 4)},
        "cep": {"snippets": (8, 3, 4), "key": (8, 4)},
    }[name]
    assert {key: tuple(value.shape) for key, value in pixels.items()} == {
        key: (*shape, 1, 32, 32) for key, shape in expected.items()
    }
    assert views["cine"].tolist() == batches(store, method)[0].cines.tolist()
    for value in pixels.values():
        assert value.dtype == torch.float32
        assert value.min() >= -1.0001
        assert value.max() <= (255 - 48) / 48 + 1e-4
        assert value.std() > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_the_same_samples_give_the_same_views_whatever_the_batch(store: Store, name: str) -> None:
    method = build(name)
    clips = batches(store, method)[0]
    whole, half = method.views(clips, seed=3), method.views(same(clips, slice(4, 8)), seed=3)
    for key in whole:
        torch.testing.assert_close(whole[key][4:], half[key], equal_nan=True)
    other = method.views(clips, seed=4)
    assert any(not torch.equal(whole[key], other[key]) for key in whole if whole[key].ndim >= 5)


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_holds_for_all_frames_unless_switched_off(store: Store, name: str) -> None:
    for consistent in (True, False):
        method = build(name, consistent=consistent, **({"tca": 0} if name == "vtdl" else {}))
        clips = batches(store, method)[0]
        still = Clips(
            frames=clips.frames[:, :, :1].expand_as(clips.frames).contiguous(),
            sector=clips.sector,
            samples=clips.samples,
            cines=clips.cines,
            times_s=clips.times_s,
        )
        for value in method.views(still, seed=0).values():
            if value.ndim < 5:
                continue
            frames = value.flatten(0, -5) if value.ndim == 6 else value
            moved = (frames - frames[:, :1]).abs().amax()
            assert (moved < 1e-3) == consistent


def test_vtdl_shows_anchor_and_positive_the_same_frames_and_the_negative_others(store: Store) -> None:
    clips = batches(store, build("vtdl"))[0]
    assert torch.equal(clips.times_s[:, 0], clips.times_s[:, 1])
    assert (clips.times_s[:, 2, 0] != clips.times_s[:, 0, 0]).all()
    assert torch.equal(clips.frames[:, 0], clips.frames[:, 1])
    plain, blended = (build("vtdl", tca=tca).views(clips, seed=0) for tca in (0.0, 0.3))
    torch.testing.assert_close(plain["positive"], blended["positive"])
    assert not torch.allclose(plain["anchor"], blended["anchor"])
    for order in (1, 2):
        change, kept = (torch.diff(views["anchor"], n=order, dim=1) for views in (blended, plain))
        scale = (change * kept).sum(dim=(1, 2, 3, 4)) / kept.square().sum(dim=(1, 2, 3, 4))
        assert ((scale > 0.69) & (scale <= 1)).all()
        torch.testing.assert_close(change, scale[:, None, None, None, None] * kept, atol=2e-3, rtol=1e-2)


def test_cep_cuts_one_run_into_three_and_draws_the_key_from_it_in_order(store: Store) -> None:
    method = build("cep")
    clips = batches(store, method)[0]
    run, key = clips.times_s[:, :3].flatten(1), clips.times_s[:, 3]
    steps = torch.diff(run, dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))
    assert (torch.diff(key, dim=1) > 0).all()
    for row in range(8):
        assert set(key[row].tolist()) <= set(run[row].tolist())
    run_view, key_view = method.augmented(clips, seed=0)
    assert run_view.pixels.shape[1] == 12
    assert not torch.allclose(run_view.box, key_view.box), "the two views differ in their crops"


def test_cate_is_told_how_its_views_differ(store: Store) -> None:
    method = build("cate", encodings={"kinds": ["time", "crop", "flip", "speed"], "max_shift_s": 2.0}, flip=0.5)
    clips = batches(store, method)[0]
    views, (a, b) = method.views(clips, seed=0), method.augmented(clips, seed=0)
    shift = (clips.times_s[:, 1, 0] - clips.times_s[:, 0, 0]).float()
    torch.testing.assert_close(views["shift_s"], shift)
    torch.testing.assert_close(views["query_a/time"][:, 0], shift / 2)
    torch.testing.assert_close(views["query_b/time"], -views["query_a/time"])
    torch.testing.assert_close(views["query_a/crop"], (b.box - a.box).float())
    assert set(views["query_a/flip"].flatten().tolist()) <= {-1.0, 1.0}
    assert views["query_a/speed"].abs().max() < 1e-6
    assert not any(name.startswith("key_") for name in views)


def test_cate_shuffled_is_told_another_pair_s_encodings(store: Store) -> None:
    plain, shuffled = (build("cate", encodings={"kinds": ["time", "crop"], "shuffled": on}) for on in (False, True))
    clips = batches(store, plain)[0]
    one, other = plain.views(clips, seed=0), shuffled.views(clips, seed=0)
    for name in ("query_a/time", "query_b/time", "query_a/crop"):
        torch.testing.assert_close(other[name], one[name].roll(1, 0))
    torch.testing.assert_close(other["a"], one["a"])


def test_cate_told_absolutely_tells_keys_nothing_that_names_the_cine(store: Store) -> None:
    method = build("cate", encodings={"kinds": ["time", "crop", "speed"], "mode": "absolute"})
    views = method.views(batches(store, method)[0], seed=0)
    assert {name for name in views if name.startswith("key_a")} == {"key_a/crop"}
    assert {name for name in views if name.startswith("query_a")} == {"query_a/time", "query_a/crop", "query_a/speed"}
    assert torch.isfinite(method(views)["loss"])


def test_looped_clips_are_not_told_their_time(store: Store) -> None:
    method = build("cate")
    clips = batches(store, method)[0]
    looped = Clips(
        frames=clips.frames, sector=clips.sector, samples=clips.samples, cines=clips.cines,
        times_s=clips.times_s, looped=torch.ones_like(clips.looped),
    )  # fmt: skip
    views = method.views(looped, seed=0)
    assert views["query_a/time"].isnan().all()
    assert not views["query_a/crop"].isnan().any()
    assert torch.isfinite(method(views)["loss"])


def patterned(step: int, clips: int, cines: int = 16) -> Clips:
    """Cines of stripes that drift, each of its own direction and width: easy to tell apart."""
    generator = torch.Generator().manual_seed(step)
    number = torch.arange(cines)
    angle, width = number * torch.pi / cines, 3.0 + number % 4 * 1.5
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    along = torch.cos(angle)[:, None, None] * x + torch.sin(angle)[:, None, None] * y
    start = torch.rand(cines, clips, 1, generator=generator) * 20
    times = start + torch.arange(4.0)
    phase = along[:, None, None] / width[:, None, None, None, None] + times[..., None, None] / 2
    frames = (127 * (1 + torch.sin(phase))).to(torch.uint8)
    return Clips(
        frames=frames[:, :, :, None],
        sector=torch.ones(cines, 48, 48, dtype=torch.bool),
        samples=step * cines + number,
        times_s=times.double(),
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_method_learns_to_tell_easy_cines_apart(name: str) -> None:
    method = build(name, **({"momentum": 0.9} if name == "vtdl" else {}))
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], 1e-2 if name == "vtdl" else 3e-3)
    clips = {"cvrl": 2, "cate": 2, "vtdl": 3, "cep": 4}[name]
    found: dict[str, list[float]] = {}
    for step in range(60):
        losses = method(method.views(patterned(step, clips), seed=0))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        method.after_step((step + 1) / 60)
        for part, value in losses.items():
            assert torch.isfinite(value), part
            found.setdefault(part, []).append(value.item())
    loss = found["contrast_loss" if name == "cep" else "loss"]
    assert sum(loss[-10:]) < 0.9 * sum(loss[5:15]), loss
    assert method.watched[-1].features.shape == (16, 12)


def test_methods_take_rgb_clips_too(store: Store) -> None:
    for name in NAMES:
        torch.manual_seed(0)
        encoder = TinyEncoder()
        encoder.body[0] = torch.nn.Conv3d(3, 6, (3, 5, 5), stride=(1, 4, 4), padding=(1, 2, 2))
        clip = ClipArguments(frames=4, step=1, size=(32, 32))
        method = methods.build(name, encoder=encoder, clip=clip, ultrasound=False, **SMALL[name])
        clips = batches(store, method)[0]
        colour = Clips(
            frames=clips.frames.expand(-1, -1, -1, 3, -1, -1).contiguous(), sector=clips.sector,
            samples=clips.samples, cines=clips.cines, times_s=clips.times_s,
        )  # fmt: skip
        assert torch.isfinite(method(method.views(colour, seed=0))["loss"])
