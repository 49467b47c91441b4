"""The `augment:` block of a recipe, filled in from the method that it is for, and checked against its clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usssl.arguments import ClipArguments, VideoKind
from usssl.augment import AugmentArguments, switches_of, views_of
from usssl.augment.presets import PRESETS
from usssl.methods.base import Method, MethodArguments


def fill_in(
    method: type[Method],
    block: Mapping[str, Any],
    arguments: MethodArguments,
    given: Mapping[str, Any],
    kind: VideoKind,
) -> tuple[AugmentArguments, MethodArguments]:
    """Makes one truth of the `augment:` block and the switches of augmentation that a method has among its arguments.

    Args:
        method: which has a preset.
        block: as written; keys without a value count as left out.
        arguments: of the method, following the kind of video.
        given: the `method:` block as written.
        kind: of video.

    Returns:
        The whole block, and the arguments with the block's switches.

    Raises:
        ValueError: both blocks give a switch, and differ, or views stand beside a switch that they make void.
        ValidationError: the block is not possible.
    """
    assert method.preset is not None
    written = {key: value for key, value in block.items() if value is not None}
    if "views" not in written:
        written.setdefault("preset", method.preset)
    preset = written.get("preset")
    known = {"consistent", *(switches_of(preset) if preset in PRESETS else ())}
    shared = {
        key: getattr(arguments, key) for key in ("consistent", *switches_of(method.preset)) if hasattr(arguments, key)
    }
    filled: dict[str, Any] = {"ultrasound": kind == "ultrasound"} if "ultrasound" in known else {}
    filled |= {key: value for key, value in shared.items() if key in known and value is not None}
    augment = AugmentArguments.model_validate({**filled, **written})
    for key, value in shared.items():
        here = getattr(augment, key)
        if key in written and given.get(key) not in (None, "auto") and value != here:
            raise ValueError(f"{key}: is {here!r} here, and method.{key} is {value!r}; give it once")
        if key not in known and value != _left_out(arguments, key, kind):
            raise ValueError(
                f"{'views' if preset is None else 'preset'}: makes method.{key} void; leave one of them out"
            )
    changed = {key: getattr(augment, key) for key in shared if key in written}
    return augment, arguments.model_copy(update=changed)


def _left_out(arguments: MethodArguments, key: str, kind: VideoKind) -> Any:
    """The value of a key that is left out."""
    plain = arguments.model_copy(update={key: type(arguments).model_fields[key].default})
    return getattr(plain.following(kind), key)


def check(method: type[Method], augment: AugmentArguments, clip: ClipArguments, stored_size: tuple[int, int]) -> None:
    """Refuses what cannot be made of the clips.

    Raises:
        ValueError: naming the key of the block.
    """
    assert method.preset is not None
    views, needed = augment.build(clip.size), views_of(method.preset)
    key = "preset" if augment.views is None else "views"
    if len(views) != needed:
        raise ValueError(f"{key}: {method.preset} takes {needed} views, and this makes {len(views)}")
    for place, view in enumerate(augment.views or ()):
        if view.mean != (0.0,) or view.std != (1.0,):
            raise ValueError(f"views.{place}.mean: the method normalises by itself; leave mean and std out")
    augment.check(stored_size, clip.frames, clip.size)
