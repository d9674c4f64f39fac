"""Tests get the outside programs they need, or say so: never a silent hole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import SERVICES, ServiceMissingError, provide

ROOT = Path(__file__).resolve().parents[2]


class Shelf:
    """A machine whose programs appear when their packages are installed."""

    def __init__(self, *programs: str) -> None:
        self.programs = set(programs)
        self.installed: list[tuple[str, ...]] = []

    def find(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def install(self, packages: tuple[str, ...]) -> None:
        self.installed.append(packages)
        self.programs.update(("node", "npm"))


def test_a_service_that_is_there_is_not_installed(tmp_path: Path) -> None:
    shelf = Shelf("node", "npm")
    provide("node", cache=tmp_path, find=shelf.find, install=shelf.install)
    assert shelf.installed == []


def test_a_missing_service_is_installed_once(tmp_path: Path) -> None:
    shelf = Shelf("node")
    for _ in range(2):
        provide("node", cache=tmp_path, find=shelf.find, install=shelf.install)
    assert shelf.installed == [SERVICES["node"].packages]


def test_a_service_that_cannot_be_had_names_package_and_mend(tmp_path: Path) -> None:
    def refuse(packages: tuple[str, ...]) -> None:
        raise ServiceMissingError("not root, so nothing can be installed")

    with pytest.raises(ServiceMissingError, match=r"node, npm not found.*not root.*apt-get install nodejs npm"):
        provide("node", cache=tmp_path, find=Shelf().find, install=refuse)


def test_an_installation_that_brings_nothing_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(ServiceMissingError, match="installed without it"):
        provide("node", cache=tmp_path, find=Shelf().find, install=lambda packages: None)


SKIPPING = {
    "test": "import pytest\n\ndef test_it():\n    pytest.skip('no moon tonight')\n",
    "module": "import pytest\npytest.skip('no moon tonight', allow_module_level=True)\n",
    "import": "import pytest\npytest.importorskip('no_such_module_anywhere', reason='no moon tonight')\n",
}


@pytest.mark.parametrize("body", SKIPPING.values(), ids=SKIPPING)
@pytest.mark.parametrize("ci", ["true", ""])
def test_a_skip_is_a_failure_in_ci_alone(tmp_path: Path, body: str, ci: str) -> None:
    (tmp_path / "test_moon.py").write_text(body)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", "-rs", str(tmp_path)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "no moon tonight" in done.stdout
    assert ("skipped" in done.stdout.splitlines()[-1]) is not bool(ci)
    assert done.returncode == ((1 if "def test" in body else 2) if ci else done.returncode)
    if not ci:
        assert done.returncode in (0, 5)
