"""The model as it is exported: raw frames in, named outputs out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from usssl.models.encoders import Encoder
from usssl.models.normalise import GREY_MEAN, GREY_STD
from usssl.models.per_frame import features_of_frames
from usssl.models.preprocess import FramePreprocess


class DeployedModel(nn.Module):
    """Preprocessing, then an encoder and a head for each task.

    Args:
        size: height and width that the encoders see.
        parts: an encoder and its head, for each task; heads map features to named outputs. All encoders take grey, or
            all take RGB.
    """

    def __init__(self, size: tuple[int, int], parts: Sequence[tuple[Encoder, nn.Module]]) -> None:
        super().__init__()
        self.preprocess = FramePreprocess(size, GREY_MEAN / 255, GREY_STD / 255)
        self.encoders = nn.ModuleList(encoder for encoder, _ in parts)
        self.heads = nn.ModuleList(head for _, head in parts)
        self.eval()

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """The outputs of all heads for every frame, and the window that was seen.

        Args:
            frames: uint8 `(batch, time, height, width)`, or `(batch, time, height, width, 3)` for encoders of RGB; for
                encoders of clips, each row of the batch is a clip.
        """
        clips, window = self.preprocess(frames)
        outputs: dict[str, Tensor] = {}
        for encoder, head in zip(self.encoders, self.heads, strict=True):
            outputs |= head(features_of_frames(encoder, clips))  # type: ignore[arg-type]
        return outputs | {"window": window}
