"""What the pages show works: links lead somewhere, commands exist, examples compile, decisions are numbered."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import Fence, anchors, fences, links, pages
from tests.house.source import ROOT

SHELL = ("sh", "bash", "console", "shell")


def label(item: object) -> str:
    if isinstance(item, Fence):
        return f"{item.page.relative_to(ROOT)}:{item.line}"
    return str(item.relative_to(ROOT)) if isinstance(item, Path) else str(item)


@pytest.mark.parametrize("page", pages(), ids=label)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (fragment and fragment not in anchors(there)):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    docs = ROOT / "docs"
    ahead, reached = [docs / "index.md"], set()
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link)
            ahead.extend(target for target in targets if target.suffix == ".md" and target.exists())
    assert [label(page) for page in pages() if docs in page.parents and page not in reached] == []


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in pages() if path.parent.name == "decisions")
    assert [name[:5] for name in names] == [f"{number:04d}-" for number in range(1, len(names) + 1)]
    for name in names:
        text = (ROOT / "docs" / "decisions" / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {int(name[:4])}. "), f"{name} does not begin with its number"


def commands(fence: Fence) -> list[list[str]]:
    """The commands of a shell block, as words. In a console, only what stands behind a prompt is one."""
    found = []
    for line in fence.text.replace("\\\n", " ").splitlines():
        if fence.language == "console" and not line.startswith("$ "):
            continue
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and re.match(r"\w+=", words[0]):
            words.pop(0)
        if words:
            found.append(words)
    return found


SHOWN = [
    pytest.param(words, id=f"{label(fence)} {' '.join(words[:3])}")
    for page in pages()
    for fence in fences(page)
    if fence.language in SHELL
    for words in commands(fence)
]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("words", SHOWN)
def test_shown_commands_exist(words: list[str]) -> None:
    """`make` targets are in the Makefile, `pointsman` commands and their options in the command line."""
    if words[0] == "make":
        assert {word for word in words[1:] if "=" not in word and not word.startswith("-")} <= make_targets()
    elif Path(words[0]).name == "pointsman":
        from tests.docs.command_line import unknown_words

        assert unknown_words(words[1:]) == []


def test_readme_shows_how_to_begin() -> None:
    shown = [words for fence in fences(ROOT / "README.md") if fence.language in SHELL for words in commands(fence)]
    assert ["make", "demo"] in shown
    assert ["make", "test"] in shown
