"""The documentation as the tests read it: pages, their tables, fences and links."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from tests.house.source import ROOT, tracked_files

REFERENCE = ROOT / "docs" / "reference"
_SPAN = re.compile(r"^`([^`]+)`$")
_FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1\s*$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


class Fence(msgspec.Struct, frozen=True):
    """A block of code: its page, the line it begins on, its language and text."""

    page: Path
    line: int
    language: str
    text: str


@cache
def pages() -> tuple[Path, ...]:
    """Every Markdown page of the project."""
    return tuple(path for path in tracked_files() if path.suffix == ".md")


def rows(page: Path, heading: str = "") -> dict[str, list[str]]:
    """The table rows below `heading` (the whole page without one) whose first cell is a code span → other cells."""
    text = page.read_text(encoding="utf-8")
    if heading:
        _, found, text = text.partition(f"\n## {heading}\n")
        assert found, f"{page.name} has no section '{heading}'"
        text = text.split("\n## ")[0]
    table: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("|"):
            first, *rest = (cell.strip() for cell in line.strip().strip("|").split("|"))
            if match := _SPAN.match(first):
                assert match[1] not in table, f"{page.name} explains {match[1]} twice"
                table[match[1]] = rest
    return table


def documented(page: str, heading: str = "") -> set[str]:
    """The names that a reference page explains, each a row of a table with the name first. No row is left empty."""
    table = rows(REFERENCE / page, heading)
    assert [name for name, cells in table.items() if not any(cells)] == []
    return set(table)


def fences(page: Path) -> list[Fence]:
    """The blocks of code of a page."""
    text = page.read_text(encoding="utf-8")
    return [Fence(page, text.count("\n", 0, match.start()) + 1, match[2], match[3]) for match in _FENCE.finditer(text)]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where the links of a page lead."""
    return _LINK.findall(prose(page))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The fragments that a page's headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", h)).strip().lower().replace(" ", "-") for h in headings
    )
