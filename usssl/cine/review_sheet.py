"""The review sheet: before and after of every de-identified cine, for a person to look at; one HTML file a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from usssl.cine.deidentify_file import Cleaned
from usssl.cine.video_writing import atomic_path

PER_PAGE = 200

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem}
h1{font-size:1.4rem;margin:0 0 .3rem}
p{max-width:46rem}
nav a,nav b{margin-right:.7rem}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(580px,1fr));gap:1rem;margin-top:1.2rem}
figure{margin:0;padding:.7rem;border:1px solid #8886;border-radius:8px}
figure.look{border:2px solid #c27c0e}
figure div{display:flex;gap:.5rem;align-items:flex-start}
img{width:276px;background:#000;border-radius:3px}
figcaption{margin-top:.4rem;font-size:13px;overflow-wrap:anywhere}
.key{display:inline-block;width:.9em;height:.9em;border-radius:2px;vertical-align:-1px}
"""

_INTRODUCTION = """<p>Left the original, right what was written.
<span class="key" style="background:#b03a2e"></span> marks what was removed outside the ultrasound image,
<span class="key" style="background:#f0be28"></span> text and marks drawn over it. In a still, and where nothing moves,
text over the image is told by its colour and its sharp edges. Where that search cannot be sure, or found what may be
text, the file is framed here, its header does not claim clean pixels, and it wants a look before it is shared.</p>"""


def write_review(out: Path, cleaned: Sequence[Cleaned], originals: bool = False) -> Path:
    """Writes `review.html`, and `review-2.html` and so on from 200 cines on; those that want a look come first.

    Args:
        out: the folder of outputs.
        cleaned: what became of each file.
        originals: the left thumbnails show what was removed.

    Returns:
        The first page.
    """
    ordered = sorted(cleaned, key=lambda one: (one.searched, one.file))
    pages = [ordered[start : start + PER_PAGE] for start in range(0, len(ordered), PER_PAGE)] or [[]]
    for number, page in enumerate(pages, start=1):
        path = out / _name(number)
        with atomic_path(path) as temporary:
            temporary.write_text(_page(page, number, len(pages), ordered, originals), encoding="utf-8")
    for stale in out.glob("review-*.html"):
        if stale.name not in {_name(number) for number in range(1, len(pages) + 1)}:
            stale.unlink()
    return out / _name(1)


def _name(number: int) -> str:
    return "review.html" if number == 1 else f"review-{number}.html"


def _page(page: Sequence[Cleaned], number: int, pages: int, every: Sequence[Cleaned], originals: bool) -> str:
    look = sum(not one.searched for one in every)
    links = "".join(
        f"<b>{n}</b>" if n == number else f'<a href="{_name(n)}">{n}</a>' for n in range(1, pages + 1) if pages > 1
    )
    warning = "<p><b>This sheet shows the originals: treat it as you would treat them.</b></p>" if originals else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>De-identification review</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><h1>De-identification review</h1>"
        f"<p>{len(every)} cines, {look} want a look. For research use; not a medical device.</p>"
        f"{warning}{_INTRODUCTION}<nav>{links}</nav><main>{''.join(map(_figure, page))}</main></body></html>\n"
    )


def _figure(one: Cleaned) -> str:
    note = "" if one.searched else " · <b>look for text over the image</b>"
    marks = f", {max(one.marks, 0.001):.1%} blacked within it" if one.marks else ""
    name = html.escape(one.file)
    frames = f"{one.frames} frame{'' if one.frames == 1 else 's'}"
    return (
        f'<figure class="{"seen" if one.searched else "look"}"><div>'
        f'<img alt="before" loading="lazy" src="data:image/jpeg;base64,{one.before}">'
        f'<img alt="after" loading="lazy" src="data:image/jpeg;base64,{one.after}"></div>'
        f"<figcaption>{name} · {frames} · {one.kept:.0%} kept{marks}{note}</figcaption></figure>\n"
    )
