"""The project's own papers agree: dependencies, their reasons and pins, versions, what CI runs."""

from __future__ import annotations

import os
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)")


def plain(name: str) -> str:
    """A requirement's name alone, in the one form that names are compared in."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", name.strip(), maxsplit=1)[0]).lower()


def wanted() -> set[str]:
    """Every dependency that somebody chose: of the product, of its extras, of its tools."""
    named = [*PROJECT["dependencies"], *(n for extra in PROJECT["optional-dependencies"].values() for n in extra)]
    for path in (ROOT / "requirements").glob("*.in"):
        named += [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-"))]
    # The extra `local` is installed without dependencies, so each of its pins is a choice.
    named += locked(ROOT / "requirements" / "local.txt")
    return {plain(name) for name in named}


def explained() -> set[str]:
    text = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    return {plain(name) for name in re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)}


def test_every_dependency_is_explained_and_nothing_else() -> None:
    assert explained() == wanted()


def locked(path: Path) -> dict[str, list[str]]:
    """Pinned name and version of a lock file → its hashes."""
    pins: dict[str, list[str]] = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.lstrip().startswith("#"):
            match = PIN.match(entry)
            assert match, f"{path.name}: not an exact pin: {entry[:60]}"
            pins[plain(match[1])] = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)
    return pins


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_an_exact_version_and_hashes(path: Path) -> None:
    pins = locked(path)
    assert pins
    assert [name for name, hashes in pins.items() if not hashes] == []


def test_what_the_product_needs_is_locked() -> None:
    run = locked(ROOT / "requirements" / "run.txt")
    assert [name for name in PROJECT["dependencies"] if plain(name) not in run] == []


def test_one_version_everywhere() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert headings[:2] == ["Unreleased", PROJECT["version"]]
    assert version("pointsman") == PROJECT["version"]


def test_ci_runs_what_a_laptop_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in script
    assert re.findall(r"^make \w+", script, flags=re.MULTILINE) == ["make check", "make test"]
    assert "|| true" not in script
    assert " | " not in script
