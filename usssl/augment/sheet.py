"""A sheet to judge augmentations by: views of cines side by side with their parameters, as one self-contained page."""

from __future__ import annotations

import base64
import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from usssl.augment.batch import ClipBatch
from usssl.augment.compose import ViewAugmentation
from usssl.augment.geometry import corners, transform
from usssl.augment.op import Params
from usssl.augment.seeds import Seeds
from usssl.augment.view import View
from usssl.cine.video_writing import atomic_path

COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""Of the views, red, green, blue; told apart by colour-blind eyes too (Okabe and Ito)."""
_GAP, _PANEL = 8, 350
_STYLE = """
:root{color-scheme:light dark}
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1280px;padding:0 1rem}
h1{font-size:1.4rem;margin:0 0 .3rem}
h2{font-size:1rem;margin:1.8rem 0 .4rem;overflow-wrap:anywhere}
p{max-width:46rem;margin:.2rem 0 .6rem}
figure{margin:.5rem 0;padding:.5rem .6rem;border-left:5px solid #8886;display:flex;gap:1rem;flex-wrap:wrap}
img{image-rendering:auto;background:#000;border-radius:3px;max-width:100%}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums;align-self:flex-start}
td{padding:.05rem .6rem .05rem 0;vertical-align:top;white-space:nowrap}
td:last-child{white-space:normal}
.op{font-weight:600}
"""


@dataclass(frozen=True)
class Strips:
    """What a sheet shows of one cine.

    Attributes:
        original: RGB frames side by side, with the outline of every view on each, `(height, width, 3)` uint8.
        views: the same of each view.
        records: for each view, its parameters by op, as plain numbers.
    """

    original: np.ndarray
    views: tuple[np.ndarray, ...]
    records: tuple[Mapping[str, Mapping[str, object]], ...]


def write_sheet(
    path: str | Path,
    clips: np.ndarray,
    augmentations: Sequence[ViewAugmentation],
    *,
    seed: int = 0,
    captions: Sequence[str] | None = None,
    title: str = "Augmentation",
    shown: int = 5,
    times_s: np.ndarray | None = None,
    spacing_mm: np.ndarray | None = None,
) -> Path:
    """Draws views of clips and writes them with their parameters; whole or not at all.

    Args:
        path: the HTML file.
        clips: `(clips, time, height, width)` grey or `(…, 3)` RGB, uint8.
        augmentations: one a view.
        seed: of the draw.
        captions: a line above each clip, such as the cine's name.
        title: of the page.
        shown: frames of each strip, spread evenly over the clip.
        times_s: `(clips, time)` seconds, where known.
        spacing_mm: `(clips, 2)` height and width of a pixel, where known.

    Returns:
        The file.
    """
    strips = draw_strips(clips, augmentations, seed=seed, shown=shown, times_s=times_s, spacing_mm=spacing_mm)
    captions = captions or [f"clip {number}" for number in range(1, len(strips) + 1)]
    frames = clips.shape[1]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{min(shown, frames)} of {frames} frames of each clip. The coloured outlines on the original show what "
        "each view sees; boxes and times are those of the original cine.</p>",
    ]
    for caption, strip in zip(captions, strips, strict=True):
        body.append(f"<h2>{html.escape(caption)}</h2><figure>{_image(strip.original, 'original')}</figure>")
        for place, (pixels, record) in enumerate(zip(strip.views, strip.records, strict=True)):
            colour = "#{:02x}{:02x}{:02x}".format(*COLOURS[place % len(COLOURS)])
            body.append(
                f'<figure style="border-color:{colour}">{_image(pixels, f"view {place + 1}")}{_table(record)}</figure>'
            )
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(f"{page}<style>{_STYLE}</style>{''.join(body)}</html>", encoding="utf-8")
    return Path(path)


def draw_strips(
    clips: np.ndarray,
    augmentations: Sequence[ViewAugmentation],
    *,
    seed: int = 0,
    shown: int = 5,
    times_s: np.ndarray | None = None,
    spacing_mm: np.ndarray | None = None,
) -> list[Strips]:
    """The pictures of a sheet, one record a clip; arguments as those of `write_sheet`."""
    pixels = torch.from_numpy(np.ascontiguousarray(clips))
    pixels = pixels[:, :, None] if pixels.ndim == 4 else pixels.movedim(-1, 2)
    facts = {"times_s": times_s, "spacing_mm": spacing_mm}
    given = {name: torch.as_tensor(fact) for name, fact in facts.items() if fact is not None}
    batch = ClipBatch(pixels.contiguous(), **given)
    views = [
        augmentation(batch, Seeds.for_samples(seed, 0, range(len(batch)), place))
        for place, augmentation in enumerate(augmentations)
    ]
    levels = [_as_bytes(view, augmentation) for view, augmentation in zip(views, augmentations, strict=True)]
    outlines = [_outline(view, batch.size) for view in views]
    return [
        Strips(
            original=_strip(_outlined(pixels[row], [outline[row] for outline in outlines]), shown),
            views=tuple(_strip(level[row], shown) for level in levels),
            records=tuple(_record(view, row) for view in views),
        )
        for row in range(len(batch))
    ]


def contact_sheet(strips: Sequence[Strips]) -> np.ndarray:
    """The sheet as one RGB picture: each original above its views, which are marked by their colours and described."""
    rows: list[np.ndarray] = []
    width = max(picture.shape[1] for strip in strips for picture in (strip.original, *strip.views))
    for strip in strips:
        rows.append(_line(strip.original, (128, 128, 128), width, {}))
        for place, (view, record) in enumerate(zip(strip.views, strip.records, strict=True)):
            rows.append(_line(view, COLOURS[place % len(COLOURS)], width, record))
    return np.concatenate(rows)


def _line(
    picture: np.ndarray, colour: tuple[int, int, int], width: int, record: Mapping[str, Mapping[str, object]]
) -> np.ndarray:
    """A bar in the view's colour, the picture, and the parameters in small print."""
    height = picture.shape[0]
    line = np.full((height + _GAP, _GAP + width + _PANEL, 3), 255, dtype=np.uint8)
    line[:height, : _GAP - 2] = colour
    line[:height, _GAP : _GAP + picture.shape[1]] = picture
    text = [
        part
        for op, values in record.items()
        for part in textwrap.wrap(
            f"{op}: " + "; ".join(f"{name} {_text(value)}" for name, value in values.items()),
            58,
            subsequent_indent="  ",
        )
    ]
    for place, part in enumerate(text[: height // 12]):
        at = (_GAP + width + 8, 10 + 12 * place)
        cv2.putText(line, part, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (30, 30, 30), 1, cv2.LINE_AA)
    return line


def _as_bytes(view: View, augmentation: ViewAugmentation) -> Tensor:
    """Undoes the normalisation."""
    mean, std = (torch.tensor(x)[:, None, None] for x in (augmentation.mean, augmentation.std))
    return (view.pixels.float() * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8)


def _outline(view: View, size: tuple[int, int]) -> np.ndarray:
    """The corners of what each view shows, in pixels of the original: `(batch, 4, 2)`; NaN where there are none."""
    return transform(view.matrices, corners(view.facts.size, len(view))).numpy()


def _outlined(clip: Tensor, outlines: Sequence[np.ndarray]) -> Tensor:
    frames = clip.expand(-1, 3, -1, -1).movedim(1, -1).contiguous().numpy().copy()
    for place, outline in enumerate(outlines):
        if np.isfinite(outline).all():
            points = np.round((outline - 0.5) * 8).astype(np.int32)
            for frame in frames:
                cv2.polylines(frame, [points], True, COLOURS[place % len(COLOURS)], 1, cv2.LINE_AA, 3)
    return torch.from_numpy(frames).movedim(-1, 1)


def _strip(clip: Tensor, shown: int) -> np.ndarray:
    """Frames `(time, channels, height, width)` side by side, RGB."""
    chosen = np.unique(np.linspace(0, len(clip) - 1, shown).round().astype(int))
    frames = clip[chosen].expand(-1, 3, -1, -1).movedim(1, -1).numpy()
    spaced = [np.pad(frame, ((0, 0), (0, 3), (0, 0)), constant_values=255) for frame in frames]
    return np.concatenate(spaced, axis=1)[:, :-3]


def _record(view: View, row: int) -> dict[str, Mapping[str, object]]:
    place: dict[str, object] = {}
    known = {"box": view.box, "start_s": view.start_s, "step_s": view.step_s, "extent_mm": view.extent_mm}
    for name, value in known.items():
        if value[row].isfinite().all():
            place[name] = value[row].tolist()
    drawn: dict[str, Mapping[str, object]] = {"view": place}
    for name, params in view.params.items():
        drawn[name] = _row(params, row) if len(params) == len(view) else {"": "drawn for each frame"}
    return drawn


def _row(params: Params, row: int) -> dict[str, object]:
    return {name: value for name, value in params.row(row).items() if name != "seed"}


def _table(record: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for op, values in record.items():
        for place, (name, value) in enumerate(values.items()):
            shown_op = html.escape(op.replace("_", " ")) if place == 0 else ""
            label = html.escape(name.replace("_", " "))
            lines.append(f"<tr><td class=op>{shown_op}</td><td>{label}</td><td>{_text(value)}</td></tr>")
    return f"<table>{''.join(lines)}</table>"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value + 0.0:.3g}" if isinstance(value, float) else html.escape(str(value))


def _image(picture: np.ndarray, label: str) -> str:
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return f'<img alt="{label}" src="data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}">'
