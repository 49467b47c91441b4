"""The documentation does not point at what is not there: links, code, commands, options, files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
import yaml

from usssl.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.S | re.M)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    code: str


def blocks(page):
    return [Block(*match.groups()) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]


def prose(page):
    """The page without its code blocks, fenced or indented."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.M)


def spans(page):
    return re.findall(r"`([^`\n]+)`", prose(page))


@cache
def anchors(page):
    """The anchors of a page's headings, as GitHub and most renderers name them."""
    headings = re.findall(r"^#+ +(.+?) *#*$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    for words, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)[^)]*\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"https://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"[{words}]({target})"
        assert there.is_relative_to(ROOT), f"[{words}]({target}) leaves the repository"
        assert not anchor or there.suffix != ".md" or anchor in anchors(there), f"[{words}]({target})"


@each_page
def test_pictures_say_what_they_show(page):
    for alternative, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)", prose(page)):
        assert len(alternative) > 8, f"{target} has no alternative text"
        assert (page.parent / target).is_file(), target


@each_page
def test_python_and_yaml_blocks_parse(page):
    for block in blocks(page):
        if block.language == "python":
            compile(re.sub(r"^(?:>>>|\.\.\.) ?", "", block.code, flags=re.M), str(page), "exec")
        elif block.language in ("yaml", "yml"):
            yaml.safe_load(block.code)


def command_lines(page):
    """All `usssl …` lines of the page's code, without prompts and comments."""
    code = [line for block in blocks(page) if block.language != "python" for line in block.code.splitlines()]
    code += re.findall(r"^(?: {4}|\t)(.*)$", page.read_text(encoding="utf-8"), re.M) + spans(page)
    for line in code:
        found = re.match(r"\s*(?:\$ )?(?:\S*/)?usssl ([^#|]*)", line)
        if found:
            yield found[1].split()


@each_page
def test_commands_and_options_exist(page):
    commands = typer.main.get_command(app).commands
    for words in command_lines(page):
        name = words[0]
        if name.startswith("-") or not re.fullmatch(r"[a-z]+", name):
            continue
        assert name in commands, f"usssl {' '.join(words)}"
        known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
        used = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert used <= known, f"usssl {' '.join(words)}: no {used - known}"


@each_page
def test_make_verbs_exist(page):
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    code = [*spans(page), *(line for block in blocks(page) for line in block.code.splitlines())]
    for line in code:
        for words in re.findall(r"^\s*(?:\$ )?make ((?:[a-z]+ ?)+)", line):
            assert set(words.split()) <= verbs, line


@each_page
def test_files_that_are_named_are_there(page):
    rooms = "usssl|napari_plugin|recipes|samples|benchmarks|tests"
    for span in spans(page):
        if re.fullmatch(rf"(?:{rooms})(?:/[\w.-]+)+/?", span):
            assert (ROOT / span).exists(), span


def test_readme_and_architecture_are_checked():
    assert {ROOT / "README.md", ROOT / "docs" / "architecture.md"} <= set(PAGES)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("[a](missing.md)", test_links_lead_somewhere),
        ("# One\n[a](#two)", test_links_lead_somewhere),
        ("![](page.md)", test_pictures_say_what_they_show),
        ("```python\nx = (\n```", test_python_and_yaml_blocks_parse),
        ("```console\n$ usssl petrain x.yaml\n```", test_commands_and_options_exist),
        ("run `usssl pretrain x.yaml --fast`", test_commands_and_options_exist),
        ("\n    .venv/bin/usssl samples out --colour red\n", test_commands_and_options_exist),
        ("run `make tea`", test_make_verbs_exist),
        ("see `recipes/none.yaml`", test_files_that_are_named_are_there),
    ],
)
def test_a_wrong_page_is_noticed(text, check, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises((AssertionError, SyntaxError)):
        check(page)
