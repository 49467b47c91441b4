"""Measuring a model on whole cines gives what a bundle's streaming would give."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from usssl.bundle.stream import Joined, pieces
from usssl.models import encoders
from usssl.models.per_frame import features_of_frames
from usssl.tasks.frames import plain_views
from usssl.tasks.planes import PlaneHead
from usssl.tasks.predictor import Predictor

SIZE = (32, 40)


def store_of(frames: int, colour: bool = False) -> SimpleNamespace:
    shape = (frames, 48, 60, 3) if colour else (frames, 48, 60)
    cine = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return SimpleNamespace(
        frame_counts=np.array([frames]), read=lambda _, numbers: cine[np.asarray(numbers)], cine=cine
    )


def model(name: str, channels: int = 1) -> tuple[encoders.Encoder, PlaneHead]:
    torch.manual_seed(0)
    encoder = encoders.build(name, channels=channels, width=0.125, output_stride=16)
    return encoder.eval(), PlaneHead(encoder.dim, 3, 0.2).eval()


@pytest.mark.parametrize(("frames", "clip", "stride"), [(30, 8, 1), (23, 6, 2), (5, 8, 1), (1, 4, 3)])
def test_a_clip_models_rows_are_those_of_a_bundle(frames: int, clip: int, stride: int) -> None:
    encoder, head = model("r3d18")
    store = store_of(frames)
    joined = Joined(frames, overlap=True)
    with torch.inference_mode():
        for piece in pieces(frames, clip, stride, at_once=clip):
            views = plain_views(torch.from_numpy(store.cine[piece][:, :, None]), SIZE)
            joined.add(piece, head(features_of_frames(encoder, views))["plane_probs"].numpy())
    wanted = list(range(0, frames, 2))
    found = Predictor(encoder, head, store, SIZE, clip=(clip, stride))(0, wanted)  # type: ignore[arg-type]
    np.testing.assert_allclose(found["plane_probs"], joined.result()[wanted], atol=1e-6)
    assert found["embedding"].shape == (len(wanted), encoder.dim)


def test_a_frame_model_sees_each_frame_alone() -> None:
    encoder, head = model("sononet16", channels=3)
    store = store_of(7, colour=True)
    found = Predictor(encoder, head, store, SIZE)(0, [5, 2])["plane_probs"]  # type: ignore[arg-type]
    rgb = torch.from_numpy(store.cine[[5, 2]]).permute(0, 3, 1, 2)[:, None]
    with torch.inference_mode():
        expected = head(encoder.features(plain_views(rgb, SIZE)))["plane_probs"][:, 0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_a_frozen_encoder_runs_once_over_frames_that_are_asked_for_again() -> None:
    encoder, head = model("sononet16")
    store = store_of(7)
    frozen = Predictor(encoder, head, store, SIZE, frozen=True)  # type: ignore[arg-type]
    first = frozen(0, [5, 2])["plane_probs"]
    with torch.no_grad():
        head.classifier.weight.mul_(-1)
        wanted = Predictor(encoder, head, store, SIZE)(0, [5, 2])["plane_probs"]  # type: ignore[arg-type]
        for parameter in encoder.parameters():
            parameter.zero_()
    again = frozen(0, [5, 2])["plane_probs"]
    np.testing.assert_array_equal(again, wanted)
    assert not np.array_equal(again, first), "the head is not frozen"
    assert not np.array_equal(frozen(0, [3])["plane_probs"], again[:1]), "other frames are not taken for those"


def test_features_that_find_no_room_are_computed_anew() -> None:
    encoder, head = model("sononet16")
    frozen = Predictor(encoder, head, store_of(9), SIZE, frozen=True)  # type: ignore[arg-type]
    frozen(0, [0])
    one = 2**29 - frozen.room
    frozen.room = 2 * one
    frozen(0, [1, 2, 3])
    frozen(0, [4, 5])
    assert [len(kept) for kept in frozen.known.values()] == [1, 2]
    assert frozen.room == 0
