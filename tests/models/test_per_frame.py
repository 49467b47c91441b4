"""Features of frames from encoders of clips: interpolated between steps, left alone where there is nothing to do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from usssl.arguments import ClipArguments
from usssl.errors import RecipeError
from usssl.models import encoders
from usssl.models.encoders import ClipEncoder
from usssl.models.per_frame import clip_seen, features_at, features_of_frames


class EveryFourth(ClipEncoder):
    """Its features are frames 0, 4, 8, … as they are."""

    dim, stride, time_stride = 1, 1, 4

    def features(self, clips: Tensor) -> Tensor:
        return clips[:, ::4]


def ramp(time: int) -> Tensor:
    """Two clips: frame t is t everywhere, and 100 - t."""
    frames = torch.arange(time).float()[None, :, None, None, None].expand(1, time, 1, 2, 3)
    return torch.cat([frames, 100 - frames])


@pytest.mark.parametrize("time", [1, 3, 4, 5, 9, 14])
def test_between_steps_features_run_straight_and_after_the_last_they_stay(time: int) -> None:
    found = features_of_frames(EveryFourth(), ramp(time))
    last = (time - 1) // 4 * 4
    expected = torch.arange(time).clamp(max=last).float()
    assert found.shape == (2, time, 1, 2, 3)
    torch.testing.assert_close(found[0, :, 0, 1, 2], expected)
    torch.testing.assert_close(found[1, :, 0, 0, 0], 100 - expected)


@pytest.mark.parametrize("name", ["r3d18", "r3d50", "slowonly50", "s3d", "sononet16"])
@pytest.mark.parametrize("time", [1, 11])
def test_one_frame_of_a_clip_has_the_features_it_has_among_all(name: str, time: int) -> None:
    torch.manual_seed(0)
    encoder = encoders.build(name, width=0.125).eval()
    clips, places = torch.randn(3, time, 1, 32, 48), torch.tensor([0, time // 2, time - 1])
    with torch.inference_mode():
        frames = features_of_frames(encoder, clips)
        assert frames.shape[:3] == (3, time, encoder.dim)
        torch.testing.assert_close(features_at(encoder, clips, places)[:, 0], frames[torch.arange(3), places])
        if encoder.time_stride == 1:
            assert torch.equal(frames, encoder.features(clips))


def test_steps_stand_for_the_frames_that_they_are_taken_for() -> None:
    """Of all frames, the one at `k * time_stride` is in the middle of what step k of a ResNet depends on."""
    torch.manual_seed(0)
    encoder = encoders.build("r3d18", width=0.125).train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 1.0  # the statistics of the one batch, so that no unit is dead
    clips = torch.randn(2, 145, 1, 16, 16, requires_grad=True)
    with torch.no_grad():
        encoder.features(clips)
    encoder.eval().features(clips)[:, 8].pow(2).sum().backward()
    assert clips.grad is not None
    weight = clips.grad.abs().sum(dim=(0, 2, 3, 4))
    middle = float((weight * torch.arange(145)).sum() / weight.sum())
    assert abs(middle - 64) < 1.5  # 8 frames to a step: step 8 stands for frames 64 to 71, the middle one is 67.5


def test_what_a_model_takes_at_once() -> None:
    clip = ClipArguments(frames=6, step=3)
    assert clip_seen(encoders.build("r3d18", width=0.0625), "r3d18", clip) == (6, 3)
    assert clip_seen(encoders.build("slowonly50", width=0.0625), "slowonly50", clip) == (6, 3)
    assert clip_seen(encoders.build("sononet16", width=0.25), "sononet16", clip) == (1, 1)
    with pytest.raises(RecipeError, match=r"sees clips, so data\.clip\.frames must be at least 2"):
        clip_seen(encoders.build("r3d18", width=0.0625), "r3d18", ClipArguments(frames=1))
