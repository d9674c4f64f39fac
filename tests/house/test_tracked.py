"""What is committed works anywhere: it names no registry, no mirror and no place on somebody's machine."""

from __future__ import annotations

import pytest

from tests.house.source import ROOT, tracked_files

# Joined here, so that this file does not name what it forbids.
FORBIDDEN = [
    "".join(parts)
    for parts in (
        ("pypi", ".org"),
        ("files.python", "hosted.org"),
        ("registry.", "npmjs.org"),
        ("registry.", "yarnpkg.com"),
        ("deb.", "debian.org"),
        ("proxy.", "golang.org"),
        ("--index", "-url"),
        ("--find", "-links"),
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/home", "/"),
        ("/Use", "rs/"),
        ("/tmp/", "bash_jobs"),
        ('"resolved"', ":"),
    )
]
TEXT_LIMIT = 4 << 20


def text_of(name: str) -> str:
    data = (ROOT / name).read_bytes()
    return "" if b"\0" in data[:8192] or len(data) > TEXT_LIMIT else data.decode("utf-8", errors="replace")


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_file_names_a_registry_or_a_place_on_a_machine(word: str) -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked_files()]
    assert [name for name in names if word in text_of(name)] == []


def test_nothing_secret_looking_or_built_is_in_the_tree() -> None:
    wrong = (".pem", ".key", ".pyc", ".db", ".sqlite", ".whl", ".spool", ".env")
    assert [str(path) for path in tracked_files() if path.name.endswith(wrong)] == []


def test_text_files_end_with_one_newline_and_have_no_trailing_blanks() -> None:
    checked = (".md", ".yaml", ".toml", ".txt", ".in", ".py", ".json", ".mjs")
    wrong = []
    for path in tracked_files():
        if path.suffix in checked and path.stat().st_size:
            text = path.read_text(encoding="utf-8")
            if not text.endswith("\n") or text.endswith("\n\n") or "\r" in text:
                wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []
