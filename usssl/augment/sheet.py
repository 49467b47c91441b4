"""A sheet to judge augmentations by: views of cines side by side with their parameters, as one self-contained page."""

from __future__ import annotations

import base64
import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
figure{margin:.5rem 0;padding:.5rem .6rem;border-left:5px solid #8886;display:flex;
 align-items:flex-start;gap:1rem;flex-wrap:wrap}
img{image-rendering:auto;background:#000;border-radius:3px;max-width:100%}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums;align-self:flex-start}
td{padding:.05rem .6rem .05rem 0;vertical-align:top;white-space:nowrap}
td:last-child{white-space:normal}
.op{font-weight:600}
"""


@dataclass(frozen=True)
class Strips:
    """What a sheet shows of one sample.

    Attributes:
        originals: RGB frames of each clip side by side, with the outlines of the views made of it on each frame,
            `(height, width, 3)` uint8; a clip of which several views are made is shown once.
        views: the same of each view.
        records: for each view, its parameters by op, as plain numbers.
    """

    originals: tuple[np.ndarray, ...]
    views: tuple[np.ndarray, ...]
    records: tuple[Mapping[str, Mapping[str, object]], ...]


def write_sheet(
    path: str | Path, strips: Sequence[Strips], *, captions: Sequence[str] | None = None, title: str = "Augmentation"
) -> Path:
    """Writes views with their parameters as one page; whole or not at all.

    Args:
        path: the HTML file.
        strips: one a sample; see `strips_of` and `draw_strips`.
        captions: a line above each sample, such as the cine's name.
        title: of the page.

    Returns:
        The file.
    """
    captions = captions or [f"clip {number}" for number in range(1, len(strips) + 1)]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        "<p>Frames of each clip, spread evenly over it. Coloured outlines on the original show what each view sees; "
        "boxes and times are those of the original cine.</p>",
    ]
    for caption, strip in zip(captions, strips, strict=True):
        originals = "".join(_image(original, "original") for original in strip.originals)
        body.append(f"<h2>{html.escape(caption)}</h2><figure>{originals}</figure>")
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
    """Draws views of clips, all of the same frames, and their pictures.

    Args:
        clips: `(clips, time, height, width)` grey or `(…, 3)` RGB, uint8.
        augmentations: one a view.
        seed: of the draw.
        shown: frames of each strip.
        times_s: `(clips, time)` seconds, where known.
        spacing_mm: `(clips, 2)` height and width of a pixel, where known.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(clips))
    pixels = pixels[:, :, None] if pixels.ndim == 4 else pixels.movedim(-1, 2)
    facts = {"times_s": times_s, "spacing_mm": spacing_mm}
    given = {name: torch.as_tensor(fact) for name, fact in facts.items() if fact is not None}
    batch = ClipBatch(pixels.contiguous(), **given)
    views = []
    for place, augmentation in enumerate(augmentations):
        view = augmentation(batch, Seeds.for_samples(seed, 0, range(len(batch)), place))
        mean, std = (torch.tensor(x)[:, None, None] for x in (augmentation.mean, augmentation.std))
        views.append(replace(view, pixels=view.pixels.float() * std + mean))
    return strips_of([batch] * len(views), views, shown=shown)


def strips_of(sources: Sequence[ClipBatch], views: Sequence[View], *, shown: int = 5) -> list[Strips]:
    """The pictures of views, one record a sample.

    Args:
        sources: the clips that each view was made of.
        views: of all samples, uint8 or in 0..1.
        shown: frames of each strip, spread evenly over the clip.
    """
    levels = [
        view.pixels if view.pixels.dtype == torch.uint8 else view.pixels.mul(255).round().clamp(0, 255).to(torch.uint8)
        for view in views
    ]
    outlines = [_outline(view) for view in views]
    return [
        Strips(
            originals=tuple(
                _strip(_outlined(clip, {place: outlines[place][row] for place in places}), shown)
                for clip, places in _apart([source.pixels[row] for source in sources])
            ),
            views=tuple(_strip(level[row], shown) for level in levels),
            records=tuple(_record(view, row) for view in views),
        )
        for row in range(len(views[0]))
    ]


def _apart(clips: Sequence[Tensor]) -> list[tuple[Tensor, list[int]]]:
    """The clips that differ, each with its places in the list."""
    found: list[tuple[Tensor, list[int]]] = []
    for place, clip in enumerate(clips):
        same = [places for other, places in found if torch.equal(other, clip)]
        if same:
            same[0].append(place)
        else:
            found.append((clip, [place]))
    return found


def contact_sheet(strips: Sequence[Strips]) -> np.ndarray:
    """The sheet as one RGB picture: each original above its views, which are marked by their colours and described."""
    rows: list[np.ndarray] = []
    width = max(picture.shape[1] for strip in strips for picture in (*strip.originals, *strip.views))
    for strip in strips:
        rows += [_line(original, (128, 128, 128), width, {}) for original in strip.originals]
        for place, (view, record) in enumerate(zip(strip.views, strip.records, strict=True)):
            rows.append(_line(view, COLOURS[place % len(COLOURS)], width, record))
    return np.concatenate(rows)


def _line(
    picture: np.ndarray, colour: tuple[int, int, int], width: int, record: Mapping[str, Mapping[str, object]]
) -> np.ndarray:
    """A bar in the view's colour, the picture, and the parameters in small print."""
    text = [
        part
        for op, values in record.items()
        for part in textwrap.wrap(
            f"{op}: " + "; ".join(f"{name} {_text(value)}" for name, value in values.items()),
            58,
            subsequent_indent="  ",
        )
    ]
    height = max(picture.shape[0], 12 * len(text) + 2)
    line = np.full((height + _GAP, _GAP + width + _PANEL, 3), 255, dtype=np.uint8)
    line[:height, : _GAP - 2] = colour
    line[: picture.shape[0], _GAP : _GAP + picture.shape[1]] = picture
    for place, part in enumerate(text):
        at = (_GAP + width + 8, 10 + 12 * place)
        cv2.putText(line, part, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (30, 30, 30), 1, cv2.LINE_AA)
    return line


def _outline(view: View) -> np.ndarray:
    """The corners of what each view shows, in pixels of its source: `(batch, 4, 2)`; NaN where there are none."""
    return transform(view.matrices, corners(view.facts.size, len(view))).numpy()


def _outlined(clip: Tensor, outlines: Mapping[int, np.ndarray]) -> Tensor:
    frames = clip.expand(-1, 3, -1, -1).movedim(1, -1).contiguous().numpy().copy()
    for place, outline in outlines.items():
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
