"""`pointsman init` writes a first file that compiles, and keeps every secret out of it."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.catalog import Catalog
from pointsman.cli.first_file import first_file
from pointsman.cli.init import living
from pointsman.cli.starters import LATER, STARTERS, Starter
from pointsman.core.document import Document
from pointsman.core.target import ApprovalState
from pointsman.registry import compile_registry
from tests.cli.commands import run

WRITTEN = date(2026, 11, 23)
"""The day on which the starters were chosen: their ids were current then."""

HASH = "sha256:" + "0" * 64
SECRET = "sk-canary-4711"
VARIABLES = (*(starter.variable for starter in STARTERS), *LATER)


def init(output: Path, *options: object, keys: dict[str, str] | None = None) -> Any:
    environment: dict[str, str | None] = dict.fromkeys(VARIABLES)
    return run("init", "--output", output, *options, env={**environment, **(keys or {})})


def compiled(text: str, today: date | None = None) -> Document:
    today = today or datetime.now(UTC).date()
    return compile_registry(text, source="pointsman.yaml", catalog=Catalog(), today=today).document


@pytest.mark.parametrize("starter", STARTERS, ids=lambda starter: starter.provider)
def test_a_file_for_each_vendor_compiles_without_a_doubt(starter: Starter) -> None:
    result = compile_registry(first_file([starter], HASH), source="x", catalog=Catalog(), today=WRITTEN)
    assert result.warnings == ()
    assert {target.model for target in result.document.targets} == {target.model for target in starter.targets}
    for target in result.document.targets:
        assert target.state is ApprovalState.APPROVED
        assert target.prices is not None
        assert not target.floating, "a first file approves no id that moves"


def test_a_file_for_all_vendors_at_once_compiles() -> None:
    document = compiled(first_file(STARTERS, HASH), WRITTEN)
    assert len(document.providers) == len(STARTERS)
    (policy,) = document.policies
    assert len(policy.candidates) == len(STARTERS)


def test_what_is_found_in_the_environment_is_written_as_references(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    result = init(output, keys={"OPENAI_API_KEY": SECRET, "GROQ_API_KEY": SECRET, "MISTRAL_API_KEY": "  "})
    assert result.exit_code == 0
    text = output.read_text()
    document = compiled(text)
    assert {provider.name: provider.credential for provider in document.providers} == {
        "openai": "env:OPENAI_API_KEY",
        "groq": "env:GROQ_API_KEY",
    }
    assert SECRET not in text + result.stdout + result.stderr
    assert "because you ran `pointsman init`" in text


def test_without_a_key_the_file_is_about_a_local_model_and_compiles(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    result = init(output)
    assert result.exit_code == 0
    assert "no provider key was found" in result.stdout
    document = compiled(output.read_text())
    (provider,) = document.providers
    assert (provider.base_url, provider.credential) == ("http://127.0.0.1:9100/v1", None)


def test_the_key_is_printed_once_and_the_file_holds_its_hash(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    result = init(output)
    (key,) = re.findall(r"\bpm-[\w-]{40,}", result.stdout)
    text = output.read_text()
    assert key not in text
    (entry,) = compiled(text).keys
    assert entry.hash == hashlib.sha256(key.encode()).hexdigest()
    assert compiled(text).allow_sets[entry.allow or 0] == ("assistant",)


def test_the_file_that_is_written_passes_check(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    init(output, keys={"GROQ_API_KEY": SECRET})
    assert run("check", output).exit_code == 0


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    output.write_text("mine\n")
    result = init(output)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert output.read_text() == "mine\n"
    assert "pm-" not in result.stdout


def test_force_replaces_it(tmp_path: Path) -> None:
    output = tmp_path / "pointsman.yaml"
    output.write_text("mine\n" * 1000)
    assert init(output, "--force").exit_code == 0
    assert yaml.safe_load(output.read_text())["version"] == 1


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    result = init(tmp_path / "missing" / "pointsman.yaml")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_key_of_a_vendor_that_cannot_be_called_yet_is_mentioned(tmp_path: Path) -> None:
    result = init(tmp_path / "pointsman.yaml", keys={"ANTHROPIC_API_KEY": SECRET})
    assert "ANTHROPIC_API_KEY is set, but this version cannot call that vendor yet." in result.stdout


def test_what_its_vendor_has_ended_is_left_out() -> None:
    """A starter grows old with the release; its file must compile all the same."""
    google = next(starter for starter in STARTERS if starter.provider == "google")
    (gone,) = (target for target in google.targets if target.tier == "economy")
    old = Starter(google.variable, google.provider, (type(gone)("gemini-2.5-flash", "economy"), gone), google.base_url)
    (before,) = living([old], date(2026, 11, 30))
    (after,) = living([old], date(2026, 12, 1))
    assert [target.model for target in before.targets] == ["gemini-2.5-flash", gone.model]
    assert [target.model for target in after.targets] == [gone.model]
    nothing_left = Starter(google.variable, google.provider, (old.targets[0],), google.base_url)
    assert living([nothing_left], date(2026, 12, 1)) == ()
