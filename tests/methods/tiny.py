"""Tiny encoders of clips and of frames with batch normalisation, and methods small enough for a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from usssl import methods
from usssl.arguments import ClipArguments
from usssl.methods import Clips, Method
from usssl.models.encoders import Encoder, FrameEncoder

CLIP = ClipArguments(frames=4, step=1, size=(32, 32))
SMALL: dict[str, dict[str, Any]] = {
    "cvrl": {"hidden": 16, "hidden_layers": 2, "dim": 8},
    "vtdl": {"queue": 24, "dim": 8, "bn_groups": 2},
    "cate": {"width": 16, "layers": 1, "heads": 2, "dim": 8, "queue": 24, "bn_groups": 2},
    "cep": {"queue": 24, "dim": 8, "hidden": 16, "bn_groups": 2},
    "order_transform": {"hidden": 16, "orders": 3, "dropout": 0.0},
}


class TinyEncoder(Encoder):
    """Two convolutions over space and time."""

    def __init__(self, dim: int = 12) -> None:
        super().__init__()
        self.dim, self.stride = dim, 4
        self.body = nn.Sequential(
            nn.Conv3d(1, 6, (3, 5, 5), stride=(1, 4, 4), padding=(1, 2, 2)),
            nn.BatchNorm3d(6),
            nn.ReLU(),
            nn.Conv3d(6, dim, 3, padding=1),
            nn.BatchNorm3d(dim),
            nn.ReLU(),
        )

    def features(self, clips: Tensor) -> Tensor:
        return self.body(clips.transpose(1, 2)).transpose(1, 2)

    def forward(self, clips: Tensor) -> Tensor:
        return self.features(clips).mean(dim=(-2, -1))  # in the precision that a test chose


class TinyFrameEncoder(FrameEncoder):
    """Two convolutions over space."""

    def __init__(self, dim: int = 12) -> None:
        super().__init__()
        self.dim, self.stride = dim, 4
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5, stride=4, padding=2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, dim, 3, padding=1),
            nn.BatchNorm2d(dim),
            nn.ReLU(),
        )

    def stages(self) -> list[nn.Sequential]:
        return [self.body]


def build(name: str, **arguments: Any) -> Method:
    """A small method with the same weights at every call."""
    torch.manual_seed(0)
    encoder = TinyFrameEncoder() if methods.get(name).frames_alone else TinyEncoder()
    return methods.build(name, encoder=encoder, clip=CLIP, **{**SMALL[name], **arguments})


def fake_views(name: str, batch: int = 8, seed: int = 1) -> dict[str, Tensor]:
    """Random views of the shapes that a method's `views` gives."""
    generator = torch.Generator().manual_seed(seed)

    def clips(*snippets: int) -> Tensor:
        return torch.randn(batch, *snippets, 4, 1, 32, 32, generator=generator)

    views = {
        "cvrl": lambda: {"first": clips(), "second": clips()},
        "vtdl": lambda: {
            **{name: clips() for name in ("anchor", "positive", "negative")},
            "negative_overlap": torch.arange(batch).float() / (batch - 1),
            "negative_shift_s": torch.where(torch.arange(batch) < 3, torch.nan, 0.5),
        },
        "cep": lambda: {"snippets": clips(3), "key": clips()},
        "order_transform": lambda: _order_views(batch, seed),
        "cate": lambda: {
            "a": clips(),
            "b": clips(),
            "shift_s": torch.randn(batch, generator=generator),
            **_told(batch, generator),
        },
    }[name]()
    return {**views, "cine": torch.arange(batch) // 2}


def _order_views(batch: int, seed: int) -> dict[str, Tensor]:
    """As the method makes them of clips of noise; what it draws depends on each sample alone."""
    clips = order_clips(batch, seed)
    return build("order_transform").views(clips, seed)


def order_clips(batch: int, seed: int) -> Clips:
    """Clips of noise, larger than the views that are cut from them."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (batch, 1, 4, 1, 48, 48), dtype=torch.uint8, generator=generator)
    samples = seed * batch + torch.arange(batch)
    return Clips(frames, torch.ones(batch, 48, 48, dtype=torch.bool), samples, torch.arange(batch) // 2)


def _told(batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    time, crop = (torch.randn(batch, numbers, generator=generator) for numbers in (9, 4))
    return {"query_a/time": time, "query_b/time": -time, "query_a/crop": crop, "query_b/crop": -crop}
