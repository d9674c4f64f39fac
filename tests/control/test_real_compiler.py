"""The process and the local dry run with the compiler they really have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli.main import app
from pointsman.core.document import decode_document
from pointsman.core.places import Places
from tests.control.making import until

GOOD = """\
version: 1
providers:
  local: {family: openai, base_url: "http://127.0.0.1:8000/v1"}
targets:
  local:good-1:
    {state: approved, tier: premium, tags: [regulated-ok], prices: free, context_window: 1000,
     capabilities: {streaming: yes}}
  local:other-1: {state: approved, tier: economy, prices: free, capabilities: {tools: no}}
policies:
  regulated: {require: {tags: [regulated-ok]}, candidates: ["local:good-1"]}
workflows:
  answer: {policy: regulated}
"""
BAD = GOOD.replace('candidates: ["local:good-1"]', 'candidates: ["local:good-1", "local:other-1"]')


def start(root: Path, text: str) -> subprocess.Popen[str]:
    (root / "p.yaml").write_text(text)
    words = ["--config", str(root / "p.yaml"), "--data-dir", str(root / "data"), "--admin-port", "0"]
    return subprocess.Popen([sys.executable, "-m", "pointsman.control", *words], stderr=subprocess.PIPE, text=True)


def test_the_control_process_publishes_what_the_compiler_makes_of_the_file(tmp_path: Path) -> None:
    process = start(tmp_path, GOOD)
    places = Places(tmp_path / "data")
    until(lambda: places.current.exists() or process.poll() is not None)
    process.terminate()
    said = process.communicate(timeout=15)[1]
    assert process.returncode == 0, said
    _, document = decode_document(places.revision(1).read_bytes())
    assert [target.name for target in document.targets] == ["local:good-1", "local:other-1"]


def test_a_registry_that_would_let_an_economy_model_answer_does_not_start(tmp_path: Path) -> None:
    process = start(tmp_path, BAD)
    said = process.communicate(timeout=15)[1]
    assert process.returncode == 1
    assert "local:other-1" in said
    assert "regulated-ok" in said
    assert not Places(tmp_path / "data").current.exists()


@pytest.mark.parametrize(
    ("name", "code", "said"), [("answer", 0, "1. local:good-1"), ("nobody", 1, "nobody registered")]
)
def test_a_dry_run_needs_no_server(tmp_path: Path, name: str, code: int, said: str) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    result = CliRunner().invoke(app, ["explain", "--model", name, "--config", str(tmp_path / "p.yaml")])
    assert result.exit_code == code
    assert said in result.output


def test_a_dry_run_over_a_bad_file_points_to_check(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(BAD)
    result = CliRunner().invoke(app, ["explain", "--model", "answer", "--config", str(tmp_path / "p.yaml")])
    assert result.exit_code == 1
    assert "pointsman check" in result.stderr
