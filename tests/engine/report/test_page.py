"""The page is complete in itself, says what it was given, and cannot be turned into something else by a file's name."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from usssl.engine.report import Comparison, Failure, Figure, Report, render_report, write_report
from usssl.errors import OutputError

PARTS = (
    "comparison",
    "planes",
    "timelines",
    "saliency",
    "confusion",
    "curves",
    "shortcuts",
    "bundles",
    "failures",
    "run",
)
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects tags and text, and checks that tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_it_shows_every_part(full_report):
    page = Page(render_report(full_report))
    ids = {attrs["id"] for attrs in page.all("section")}
    assert ids == set(PARTS)
    assert {attrs["href"][1:] for attrs in page.all("a")} == ids
    images = page.all("img")
    diagrams = [attrs["src"] for attrs in images if attrs["src"].startswith("data:image/svg+xml;base64,")]
    frames = [attrs["src"] for attrs in images if attrs["src"].startswith("data:image/jpeg;base64,")]
    assert len(diagrams) == 1 + 1 + 1 + 2 + 1  # comparison, timeline, confusions, curves, shortcuts
    assert len(frames) == 5 + 2 * 3  # planes, saliency
    assert all(len(attrs["alt"]) > 10 for attrs in images)
    assert all(b"</svg>" in base64.b64decode(uri.split(",")[1]) for uri in diagrams)
    text = " ".join(page.text)
    for words in (
        "Made-up numbers",
        "not a medical device",
        "pretrained better",
        "shows background",
        "0.550 [0.510, 0.590]",
    ):
        assert words in text


def test_it_needs_nothing_beside_it(full_report):
    html = render_report(full_report)
    assert len(html.encode()) < 5e6
    assert not re.findall(r"https?:|//[a-z]|@import|<script|<link|<iframe|url\(", re.sub(r'"data:[^"]*"', "", html))
    for tag, attrs in Page(html).tags:
        assert attrs.get("src", "data:").startswith("data:"), tag
        assert attrs.get("href", "#").startswith("#"), tag
    policy = next(attrs for attrs in Page(html).all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy["content"]


def hostile(value, text):
    """The same data with every string replaced."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {f"{text}{number}": hostile(item, text) for number, item in enumerate(value.values())}
    if isinstance(value, tuple):
        return tuple(hostile(item, text) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{f.name: hostile(getattr(value, f.name), text) for f in fields(value)})
    return value


@pytest.mark.parametrize("text", ['"><script>alert(1)</script><img src=x onerror=alert(1)>', "$a^{ {{ 7*7 }} $ &amp;"])
def test_names_are_text_and_nothing_else(full_report, text):
    page = Page(render_report(hostile(full_report, text)))
    assert not page.all("script")
    assert not [name for tag, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all(attrs["src"].startswith("data:") for attrs in page.all("img"))
    assert text in "".join(page.text)
    assert "49" not in next(part for part in page.text if part.startswith(text[:4]))


@pytest.mark.parametrize("part", [f.name for f in fields(Report) if f.name != "title"])
def test_any_part_stands_alone(full_report, part):
    page = Page(render_report(Report("x", **{part: getattr(full_report, part)})))
    assert len(page.all("section")) == len(page.all("a")) == (part not in ("lead", "notice", "figures"))


def test_a_title_alone_is_a_page():
    page = Page(render_report(Report("Nothing yet")))
    assert not page.all("section")
    assert not page.all("a")
    assert "Nothing yet" in page.text


@pytest.mark.parametrize(
    ("higher_is_better", "values", "verdict"),
    [
        (True, (0.70, 0.72, 0.71), "ours better"),
        (False, (0.70, 0.72, 0.71), "base better"),
        (True, (0.30, 0.32, 0.31), "base better"),
        (True, (0.30, 0.72, 0.51), "no difference shown"),
        (True, (0.70, 0.72), "seeds are not paired"),
        (True, (0.70, 0.72, np.nan), "seeds are not paired"),
    ],
)
def test_verdicts_follow_the_paired_interval(higher_is_better, values, verdict):
    arms = {"base": ((0.50, 0.52, 0.50),), "ours": (values,)}
    text = " ".join(
        Page(render_report(Report("t", comparisons=(Comparison("m", ("b",), arms, higher_is_better),)))).text
    )
    verdicts = ("ours better", "base better", "no difference shown", "seeds are not paired")
    assert [words for words in verdicts if words in text] == [verdict]


def test_one_seed_and_no_seed_are_said():
    arms = {"base": ((0.5,),), "ours": ((),)}
    text = " ".join(Page(render_report(Report("t", comparisons=(Comparison("m", ("b",), arms),)))).text)
    assert "one value, no interval" in text
    assert "not measured" in text


def test_comparison_refuses_missing_budgets():
    with pytest.raises(ValueError, match="2 budgets"):
        Comparison("m", ("a", "b"), {"base": ((0.5,),)})


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = write_report(Report("First", figures=(Figure("a", "1"),)), tmp_path / "runs" / "report.html")
    assert "First" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot write the report"):
        write_report(Report("Second"), blocked / "report.html")


def test_surprising_text_survives(tmp_path):
    path = write_report(Report("Föten — 胎児", failures=(Failure("a\x00b\n.mp4", "ended"),)), tmp_path / "r.html")
    assert "Föten — 胎児" in path.read_text(encoding="utf-8")


def test_it_needs_neither_torch_nor_pyplot(repository):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from usssl.engine.report import Curves, Report, render_report\n"
        "render_report(Report('t', curves=(Curves('c', {'loss': [(0, 1.0), (1, 2.0)]}),)))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True)
