"""`pointsman check` says everything that is wrong with a file, for people and for programs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pointsman.catalog import Catalog
from pointsman.core.document import document_hash
from pointsman.registry import compile_registry
from tests.cli.commands import run

GOOD = """\
version: 1
providers:
  local: {family: openai, base_url: http://127.0.0.1:9100/v1}
targets:
  local:one: {state: approved, prices: free}
  local:two: {state: approved, prices: free}
policies:
  any: {candidates: [local:one, local:two]}
workflows:
  talk: {policy: any}
"""
# Three mistakes, written out of the order in which they are looked for.
BAD = """\
version: 1
providers:
  local: {family: openai, base_url: http://127.0.0.1:9100/v1}
targets:
  local:one: {state: approved, prices: free, colour: red}
  local:two: {state: approved}
policies:
  any: {candidates: [local:three]}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "pointsman.yaml"


def test_a_good_file_is_summed_up_in_one_line(registry: Path) -> None:
    registry.write_text(GOOD)
    result = run("check", registry)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"ok: 2 targets, 1 policy, 1 workflow, 0 keys; hash [0-9a-f]{12}\n", result.stdout)


def test_a_good_file_as_json_has_the_hash_that_revisions_carry(registry: Path) -> None:
    registry.write_text(GOOD)
    result = run("check", registry, "--json")
    said = json.loads(result.stdout)
    document = compile_registry(GOOD, source="x", catalog=Catalog(), today=datetime.now(UTC).date()).document
    assert result.exit_code == 0
    assert (said["ok"], said["problems"], said["warnings"]) == (True, [], [])
    assert said["summary"] == {
        "providers": 1,
        "targets": 2,
        "policies": 1,
        "workflows": 1,
        "keys": 0,
        "hash": document_hash(document),
    }


def test_every_problem_is_said_with_its_place_and_a_mend(registry: Path) -> None:
    registry.write_text(BAD)
    result = run("check", registry)
    lines = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (1, "")
    places = [re.match(rf"{re.escape(str(registry))}:(\d+):(\d+): .+\. Mend: .+\.$", line) for line in lines[:-1]]
    assert all(places)
    assert [int(place[1]) for place in places if place] == [5, 6, 8]
    assert lines[-1] == "3 problems: nothing of this file would be served"


def test_problems_as_json_are_on_standard_output_alone(registry: Path) -> None:
    registry.write_text(BAD)
    result = run("check", registry, "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert (said["ok"], said["summary"]) == (False, None)
    assert [problem["line"] for problem in said["problems"]] == [5, 6, 8]
    assert all(problem["code"] and problem["mend"] for problem in said["problems"])


def test_warnings_are_said_and_do_not_fail_the_check(registry: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(days=10)).date()
    registry.write_text(GOOD.replace("local:one: {", f"local:one: {{retires_at: {soon}, "))
    result = run("check", registry)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"warning: {registry}:5:")
    assert result.stdout.startswith("ok: ")
    (warning,) = json.loads(run("check", registry, "--json").stdout)["warnings"]
    assert warning["code"] == "retires_soon"


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["for people", "json"])
def test_a_file_that_cannot_be_read_is_another_exit_code(tmp_path: Path, options: tuple[str, ...]) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        result = run("check", path, *options)
        assert result.exit_code == 2
        assert f"{path} cannot be read" in result.stderr


def test_bytes_that_are_no_text_are_a_problem_of_the_file(registry: Path) -> None:
    registry.write_bytes(b"version: 1\nproviders: \xff\xfe\n")
    result = run("check", registry, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"]


def test_what_a_file_says_cannot_steer_the_terminal(registry: Path) -> None:
    registry.write_text(GOOD + 'aliases: {"\\e[2Jx": "local:no\\e]0;evil\\a"}\n')
    result = run("check", registry)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout + result.stderr
