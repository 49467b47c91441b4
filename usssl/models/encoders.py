"""Encoders by name: `encoders.build("sononet16", channels=1, width=0.5)`.

Every encoder maps clips to features of one form, so that frame, clip and map heads fit all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from usssl.errors import RecipeError

_BUILDERS: dict[str, Callable[..., Encoder]] = {}


class Encoder(nn.Module):
    """What all encoders promise.

    Attributes:
        dim: number of feature channels.
        stride: pixels of the input, in height and width, to one cell of the feature map.
    """

    dim: int
    stride: int

    def features(self, clips: Tensor) -> Tensor:
        """Encodes clips.

        Args:
            clips: normalised frames, `(batch, time, channels, height, width)`.

        Returns:
            Feature maps `(batch, time', dim, h, w)`; a frame encoder keeps `time' = time`.
        """
        raise NotImplementedError

    def forward(self, clips: Tensor) -> Tensor:
        """Globally pooled features, `(batch, time', dim)`, in float32."""
        return self.features(clips).float().mean(dim=(-2, -1))


class FrameEncoder(Encoder):
    """An encoder that sees each frame by itself: `frames` maps `(n, channels, H, W)` to `(n, dim, h, w)`."""

    def frames(self, frames: Tensor) -> Tensor:
        """Encodes single frames, `(n, channels, height, width)` to `(n, dim, h, w)`."""
        raise NotImplementedError

    def features(self, clips: Tensor) -> Tensor:
        """Encodes every frame of every clip; see `Encoder.features`."""
        maps = self.frames(clips.flatten(0, 1))
        return maps.unflatten(0, clips.shape[:2])


def register(name: str) -> Callable[[Callable[..., Encoder]], Callable[..., Encoder]]:
    """Registers a builder `(channels, width, **arguments) -> Encoder` under a name."""

    def keep(builder: Callable[..., Encoder]) -> Callable[..., Encoder]:
        _BUILDERS[name] = builder
        return builder

    return keep


def names() -> list[str]:
    """The names that `build` knows, sorted."""
    _load()
    return sorted(_BUILDERS)


def build(name: str, channels: int = 1, width: float = 1.0, **arguments: int) -> Encoder:
    """Builds an encoder by its name.

    Args:
        name: one of `names()`.
        channels: 1 for grey, 3 for RGB.
        width: multiplies all channel counts (0.5 for a laptop).
        arguments: what the encoder itself takes, such as `output_stride`.

    Raises:
        RecipeError: unknown name.
    """
    _load()
    if name not in _BUILDERS:
        raise RecipeError(f"unknown encoder {name!r}; known are: {', '.join(names())}")
    return _BUILDERS[name](channels=channels, width=width, **arguments)


def _load() -> None:
    from usssl.models import sononet  # noqa: F401 - importing it registers its builders
