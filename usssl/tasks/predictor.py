"""Runs a model over whole cines of a store, to measure it as a bundle will run it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from usssl.cine.clip_windows import clip_windows, real_places
from usssl.data import Store
from usssl.models.encoders import Encoder
from usssl.models.per_frame import features_of_frames
from usssl.tasks.base import TaskHead
from usssl.tasks.frames import channels_first, plain_views

_FRAMES_AT_ONCE = 64
_BYTES_KEPT = 2**29


class Predictor:
    """Runs encoder and head over whole cines of a store, without augmentation.

    Args:
        encoder: in any mode; it is put in evaluation mode.
        head: likewise.
        store: the frames.
        size: of the model's input.
        clip: frames that the model takes at once, and the step between them; (1, 1) for a frame model.
        bf16: whether to run under bf16 autocast.
        frozen: the encoder will not change: its features of frames that are asked for again are kept, up to 512 MB.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: TaskHead,
        store: Store,
        size: tuple[int, int],
        *,
        clip: tuple[int, int] = (1, 1),
        bf16: bool = False,
        frozen: bool = False,
    ) -> None:
        self.encoder, self.head, self.store, self.size, self.bf16 = encoder, head, store, size, bf16
        self.known: dict[tuple[int, bytes], Tensor] = {}
        self.room = _BYTES_KEPT if frozen else 0
        self.clip, self.stride = clip

    @torch.no_grad()
    def __call__(self, cine: int, frames: Sequence[int]) -> dict[str, np.ndarray]:
        """The outputs for some frames of a cine, each `(frames, …)`.

        A clip model sees the windows of the whole cine that show them; a frame's row is the mean over its windows.
        """
        self.encoder.eval()
        self.head.eval()
        wanted = np.asarray(frames, dtype=np.int64)
        windows = wanted[:, None]
        if self.clip > 1:
            windows = clip_windows(int(self.store.frame_counts[cine]), self.clip, self.stride)
            windows = windows[np.isin(windows, wanted).any(axis=1)]
        at_once = max(1, _FRAMES_AT_ONCE // self.clip)
        parts = [self._run(cine, windows[at : at + at_once]) for at in range(0, len(windows), at_once)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self.clip == 1:
            return {name: values[:, 0] for name, values in outputs.items()}
        return {name: _mean_rows(windows, values, wanted) for name, values in outputs.items()}

    def _run(self, cine: int, windows: np.ndarray) -> dict[str, np.ndarray]:
        outputs: dict[str, Tensor] = self.head(self._features(cine, windows).float())
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    def _features(self, cine: int, windows: np.ndarray) -> Tensor:
        key = (cine, windows.tobytes())
        if key in self.known:
            return self.known[key]
        device = next(self.encoder.parameters()).device
        pixels = channels_first(self.store.read(cine, windows.ravel()))
        clips = torch.from_numpy(pixels.reshape(*windows.shape, *pixels.shape[1:])).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            features = features_of_frames(self.encoder, plain_views(clips, self.size))
        if features.nbytes <= self.room:
            self.known[key] = features
            self.room -= features.nbytes
        return features


def _mean_rows(windows: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The mean over the windows of each wanted frame: `(windows, clip, …)` to `(frames, …)`."""
    real = np.stack([real_places(window) for window in windows])
    return np.stack([values[real & (windows == frame)].mean(axis=0) for frame in wanted]).astype(np.float32)
