"""Features of every frame from any encoder: what a clip encoder gives for each step in time, brought back to frames.

Step `k` of a clip encoder's features stands for frame `k * time_stride`, the middle of what it depends on: convolutions
pad alike on both sides and, where they stride, keep the first of two frames. (In I3D and S3D, whose last pooling is of
pairs, the middle lies two frames later.) Between two steps a frame's features are interpolated linearly; frames after
the last step take its features as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usssl.arguments import ClipArguments
from usssl.errors import RecipeError
from usssl.models.encoders import Encoder, FrameEncoder


def sees_clips(encoder: Encoder) -> bool:
    """Whether an encoder sees frames together, so that what it makes of one depends on the others."""
    return not isinstance(encoder, FrameEncoder)


def check_alone(encoder: Encoder, name: str, method: str) -> None:
    """Refuses an encoder of clips, called `name`, for a method that asks of a frame what its neighbours tell.

    Raises:
        RecipeError: the encoder sees frames together.
    """
    if sees_clips(encoder):
        raise RecipeError(
            f"encoder.name: {method} needs an encoder that sees each frame by itself, such as sononet16, "
            f"and {name} sees frames together"
        )


def clip_seen(encoder: Encoder, name: str, clip: ClipArguments) -> tuple[int, int]:
    """Frames that a model with this encoder takes at once, and the step between them; (1, 1) for a frame encoder.

    Raises:
        RecipeError: a clip encoder, and clips of a single frame.
    """
    if not sees_clips(encoder):
        return 1, 1
    if clip.frames < 2:
        raise RecipeError(f"the encoder {name} sees clips, so data.clip.frames must be at least 2, not {clip.frames}")
    return clip.frames, clip.step


def features_of_frames(encoder: Encoder, clips: Tensor) -> Tensor:
    """Feature maps of every frame, `(batch, time, dim, h, w)`, of clips `(batch, time, channels, height, width)`."""
    features = encoder.features(clips)
    if encoder.time_stride == 1:
        return features
    frames = torch.arange(clips.shape[1], device=features.device)
    before, after, share = _steps(frames, features, encoder.time_stride)
    share = share[None, :, None, None, None].to(features.dtype)
    return features.index_select(1, before) * (1 - share) + features.index_select(1, after) * share


def features_at(encoder: Encoder, clips: Tensor, places: Tensor) -> Tensor:
    """Feature maps of one frame of each clip, `(batch, 1, dim, h, w)`: those of `features_of_frames` at `places`.

    Args:
        encoder: any.
        clips: `(batch, time, channels, height, width)`.
        places: int64 `(batch,)`, each from 0 to time - 1.
    """
    features = encoder.features(clips)
    rows = torch.arange(len(clips), device=features.device)
    before, after, share = _steps(places.to(features.device), features, encoder.time_stride)
    share = share[:, None, None, None].to(features.dtype)
    return torch.lerp(features[rows, before], features[rows, after], share)[:, None]


def _steps(frames: Tensor, features: Tensor, time_stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each frame number the steps before and after it, and how far it is on the way, 0 to 1."""
    before = torch.div(frames, time_stride, rounding_mode="floor")
    after = (before + 1).clamp(max=features.shape[1] - 1)
    return before, after, (frames - before * time_stride).float() / time_stride
