"""The sheet: one self-contained page that shows every view of every clip with its parameters."""

from __future__ import annotations

import base64
import html.parser
import re

import cv2
import numpy as np
import pytest
import torch

from usssl.augment import AugmentArguments, ClipBatch, ViewAugmentation
from usssl.augment.sheet import COLOURS, contact_sheet, draw_strips, strips_of, write_sheet


class Page(html.parser.HTMLParser):
    """Collects pictures and links."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data + " "


def picture(source):
    data = base64.b64decode(re.fullmatch(r"data:image/png;base64,(.+)", source)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def clips(rgb=False):
    shape = (2, 6, 40, 50, 3) if rgb else (2, 6, 40, 50)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("rgb", [False, True])
def test_the_page_shows_all_and_needs_nothing_else(tmp_path, rgb):
    views = AugmentArguments(preset="cvrl", size=(20, 24), ultrasound=not rgb).build()
    path = write_sheet(tmp_path / "sheet.html", draw_strips(clips(rgb), views, shown=3), captions=["<first>", "second"])
    page = Page(path.read_text())
    assert len(page.sources) == 2 * (1 + 2)  # an original and two views a clip
    assert [picture(source).shape for source in page.sources[:2]] == [(40, 3 * 53 - 3, 3), (20, 3 * 27 - 3, 3)]
    assert "<first>" in page.text
    for shown in ("resized crop", "colour jitter", "gaussian blur", "solarised", "box"):
        assert shown in page.text
    assert [f.name for f in tmp_path.iterdir()] == ["sheet.html"]


def test_the_outline_is_where_the_view_looks():
    view = ViewAugmentation(ops=[{"name": "crop", "size": (20, 30), "centre": True}])
    black = np.zeros((1, 1, 40, 50), np.uint8)
    coloured = draw_strips(black, [view])[0].originals[0].max(axis=2)
    rows, columns = coloured.max(axis=1).nonzero()[0], coloured.max(axis=0).nonzero()[0]
    assert (abs(rows[[0, -1]] - [10, 30]) <= 1).all()
    assert (abs(columns[[0, -1]] - [10, 40]) <= 1).all()


def test_normalisation_is_undone_before_drawing():
    grey = np.full((1, 2, 8, 8), 100, np.uint8)
    strip = draw_strips(grey, [ViewAugmentation(mean=(0.45,), std=(0.225,))], shown=1)[0].views[0]
    assert (strip == 100).all()


def test_times_and_millimetres_are_shown_where_known():
    view = ViewAugmentation(ops=[{"name": "crop", "size": (20, 30)}])
    known = draw_strips(clips()[:1], [view], times_s=np.arange(6)[None] / 10, spacing_mm=np.array([[0.5, 0.5]]))
    assert known[0].records[0]["view"]["extent_mm"] == pytest.approx([10.0, 15.0])
    assert known[0].records[0]["view"]["step_s"] == pytest.approx(0.1)
    assert set(draw_strips(clips()[:1], [view])[0].records[0]["view"]) == {"box"}


def test_frames_treated_one_by_one_are_said_to_be(tmp_path):
    control = ViewAugmentation(ops=[{"name": "resized_crop", "size": (20, 20)}], consistent=False)
    text = write_sheet(tmp_path / "sheet.html", draw_strips(clips(), [control])).read_text()
    assert "drawn for each frame" in text
    assert "nan" not in Page(text).text


def test_the_contact_sheet_holds_every_strip():
    views = AugmentArguments(preset="vtdl", size=(24, 24)).build()
    strips = draw_strips(clips(), views, shown=2)
    picture, row = contact_sheet(strips), 0
    for strip in [picture for one in strips for picture in (*one.originals, *one.views)]:
        height, width = strip.shape[:2]
        while not np.array_equal(picture[row : row + height, 8 : 8 + width], strip):
            row += 1
            assert row + height <= len(picture)
        row += height


def test_each_clip_is_shown_once_with_the_outlines_of_its_own_views():
    first, second = (ClipBatch(torch.full((1, 2, 1, 40, 50), level, dtype=torch.uint8)) for level in (10, 20))
    crop = ViewAugmentation(ops=[{"name": "crop", "size": (20, 30), "centre": True}])
    sources = [first, second, first]
    (strip,) = strips_of(sources, [crop(source) for source in sources], shown=1)
    assert [original[0, 0, 0] for original in strip.originals] == [10, 20]
    assert len(strip.views) == 3
    bluish = [(original[..., 2].astype(int) - original[..., 1] > 20).any() for original in strip.originals]
    assert COLOURS[1][2] > COLOURS[1][1], "the second view's outline is blue, those of the others are not"
    assert bluish == [False, True]
