"""The program as a whole: quick, complete, and clear about what went wrong."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import msgspec
import pytest
from typer.testing import CliRunner

from pointsman import __version__
from pointsman.cli.lazy import Entry, LazyCommand
from pointsman.cli.main import COMMANDS, app

RUN = CliRunner()


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from pointsman.cli.main import app\n"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output\n"
        "heavy = {'sqlalchemy', 'litestar', 'uvicorn', 'openai', 'yaml', 'genai_prices', 'pointsman.cli.apply'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_every_command_is_listed_with_its_whole_sentence() -> None:
    said = " ".join(RUN.invoke(app, ["--help"]).output.split())
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.help}" in said


def test_version() -> None:
    assert RUN.invoke(app, ["--version"]).output.strip() == f"pointsman {__version__}"


@pytest.mark.parametrize("words", [["nonsense"], ["calls", "--nonsense"], ["report"]])
def test_a_command_that_is_called_wrongly_exits_with_2(words: list[str]) -> None:
    assert RUN.invoke(app, words).exit_code == 2


def test_a_command_that_cannot_be_imported_does_not_harm_the_list() -> None:
    broken = LazyCommand("broken", Entry("pointsman.cli.no_such_module", "broken", "Broken."))
    assert broken.get_short_help_str() == "Broken."
    with pytest.raises(ModuleNotFoundError):
        _ = broken.params


def test_a_key_is_shown_once_with_the_line_for_the_file() -> None:
    said = RUN.invoke(app, ["key", "--name", "app", "--team", "blue", "--allow", "a", "--allow", "b"]).output
    found = re.search(r"pm-[\w-]{40,}", said)
    assert found is not None
    digest = hashlib.sha256(found[0].encode()).hexdigest()
    assert f'- {{name: app, team: blue, hash: "sha256:{digest}", allow: [a, b]}}' in said
    assert said.count(found[0]) == 1


def test_keys_differ_and_json_has_both_halves() -> None:
    made = [msgspec.json.decode(RUN.invoke(app, ["key", "--json"]).output) for _ in range(2)]
    assert made[0]["key"] != made[1]["key"]
    assert made[0]["hash"] == "sha256:" + hashlib.sha256(made[0]["key"].encode()).hexdigest()
