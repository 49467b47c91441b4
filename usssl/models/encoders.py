"""Encoders by name: `encoders.build("sononet16", channels=1, width=0.5)`.

Every encoder maps clips to features of one form, so that frame, clip and map heads fit all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps

import torch
from torch import Tensor, nn

from usssl import extensions
from usssl.errors import RecipeError

_GROUP = "usssl.encoders"
_BUILDERS: dict[str, Callable[..., Encoder]] = {}


class Encoder(nn.Module):
    """What all encoders promise.

    Attributes:
        dim: number of feature channels.
        stride: pixels of the input, in height and width, to one cell of the feature map.
        time_stride: frames of the input to one step of the features; `time' = ceil(time / time_stride)`.
    """

    dim: int
    stride: int
    time_stride: int = 1

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The stages, each a few modules that run one after the other; the last one gives the features."""
        raise NotImplementedError

    def maps(self, clips: Tensor) -> Iterator[Tensor]:
        """Feature maps after each stage, `(batch, time', channels, h, w)`, the finest first; see `features`."""
        raise NotImplementedError

    def features(self, clips: Tensor) -> Tensor:
        """Encodes clips.

        Args:
            clips: normalised frames, `(batch, time, channels, height, width)`; a single frame is a clip, too.

        Returns:
            Feature maps `(batch, time', dim, h, w)`; a frame encoder keeps `time' = time`.
        """
        found = clips
        for found in self.maps(clips):  # noqa: B007 - the maps of the earlier stages are let go
            pass
        return found

    def layers(self, clips: Tensor) -> list[Tensor]:
        """Globally pooled features of each stage, `(batch, time', channels)`, in float32, for probes of every layer."""
        return [maps.float().mean(dim=(-2, -1)) for maps in self.maps(clips)]

    def forward(self, clips: Tensor) -> Tensor:
        """Globally pooled features, `(batch, time', dim)`, in float32."""
        return self.features(clips).float().mean(dim=(-2, -1))


class FrameEncoder(Encoder):
    """An encoder that sees each frame by itself: its stages take `(n, channels, height, width)`."""

    def maps(self, clips: Tensor) -> Iterator[Tensor]:
        """Maps of every frame of every clip; see `Encoder.maps`."""
        for maps in _run(self.stages(), clips.flatten(0, 1)):
            yield maps.unflatten(0, clips.shape[:2])


class ClipEncoder(Encoder):
    """An encoder that sees frames together: its stages take `(n, channels, time, height, width)`."""

    def maps(self, clips: Tensor) -> Iterator[Tensor]:
        """Maps of every step in time; see `Encoder.maps`."""
        for maps in _run(self.stages(), clips.transpose(1, 2)):
            yield maps.transpose(1, 2)


def _run(stages: Sequence[Sequence[nn.Module]], maps: Tensor) -> Iterator[Tensor]:
    for stage in stages:
        for module in stage:
            maps = module(maps)
        yield maps


def register(name: str) -> Callable[[Callable[..., Encoder]], Callable[..., Encoder]]:
    """Registers a builder `(channels, width, **arguments) -> Encoder` under a name."""

    def keep(builder: Callable[..., Encoder]) -> Callable[..., Encoder]:
        _BUILDERS[name] = builder
        return builder

    return keep


def names() -> list[str]:
    """The names that `build` knows, sorted; encoders of other packages are not imported."""
    _load()
    return sorted({*_BUILDERS, *extensions.entries(_GROUP)})


def build(name: str, channels: int = 1, width: float = 1.0, **arguments: int) -> Encoder:
    """Builds an encoder by its name.

    Args:
        name: one of `names()`.
        channels: 1 for grey, 3 for RGB.
        width: multiplies all channel counts (0.5 for a laptop).
        arguments: what the encoder itself takes, such as `output_stride`: pixels to one cell of the feature map.

    Raises:
        RecipeError: unknown name, an entry point of another package that is no encoder, or an encoder whose builder
            does not take one of the arguments.
        ValueError: an output stride that the encoder cannot have.
    """
    _load()
    if name not in _BUILDERS:
        _BUILDERS[name] = _of_another_package(name)
    builder = _BUILDERS[name]
    _check_taken(name, builder, arguments)
    return builder(channels=channels, width=width, **arguments)


def scaled(channels: Sequence[int], width: float) -> list[int]:
    """Channel counts times a width, rounded, and at least 4."""
    return [max(4, round(count * width)) for count in channels]


def _check_taken(name: str, builder: Callable[..., Encoder], arguments: Iterable[str]) -> None:
    taken = inspect.signature(builder).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    for argument in arguments:
        if argument not in taken:
            raise RecipeError(
                f"the builder of the encoder {name!r} takes no {argument}, which fine-tuning asks for; add that "
                "argument, or choose another encoder"
            )


def _of_another_package(name: str) -> Callable[..., Encoder]:
    if name not in extensions.entries(_GROUP):
        raise RecipeError(f"unknown encoder {name!r}; known are: {', '.join(names())}")
    with torch.device("cpu"):  # encoders are looked at on the meta device, where no constant of a module may end
        builder = extensions.load(_GROUP, name)
    try:
        inspect.signature(builder).bind(channels=1, width=1.0)
    except (TypeError, ValueError) as error:
        raise extensions.faulty(_GROUP, name, f"builds nothing of channels and width ({error})") from error

    @wraps(builder, updated=())
    def build_checked(**arguments: float) -> Encoder:
        encoder = builder(**arguments)
        if not isinstance(encoder, Encoder):
            raise extensions.faulty(_GROUP, name, f"makes a {type(encoder).__name__}, which is no Encoder")
        return encoder

    return build_checked


def _load() -> None:
    # Importing them registers their builders.
    from usssl.models import inception, resnet, se_resnext, sononet, video_resnet  # noqa: F401
