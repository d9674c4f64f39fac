"""The commands that ask the admin API, over a real one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pointsman.cli.client import AdminClient, ClientError
from pointsman.cli.main import app
from pointsman.control.parts import Control
from pointsman.core.record import Attempt, AttemptKind
from pointsman.telemetry.spool import SpoolWriter
from tests.control.making import BACKUP, TOKEN, new_control, sent, served, text_of, with_alias, worker_says
from tests.store.making import ECONOMY, PREMIUM, record, refused

SINCE = ["--since", "2020-01-01"]


def call(n: int) -> str:
    """A call id as long as they really are."""
    return f"call_01a206ba3b109c1d272b{n:06d}"


class Cli:
    """Runs commands against one admin API."""

    def __init__(self, url: str, control: Control) -> None:
        self.control = control
        self.environment = {"POINTSMAN_ADMIN_URL": url, "POINTSMAN_ADMIN_TOKEN": TOKEN.value, "COLUMNS": "80"}

    def run(self, *words: str, stdin: str | None = None) -> Any:
        return CliRunner().invoke(app, list(words), env=self.environment, input=stdin)

    def json(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return msgspec.json.decode(result.stdout)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    control = new_control(tmp_path_factory.mktemp("data"))
    control.publisher.apply(sent(text_of()))
    writer = SpoolWriter(control.places.spool, "w1")
    for n in range(6):
        writer.call(record(n, call_id=call(n)))
    tried = (
        Attempt(PREMIUM, AttemptKind.PRIMARY, 0, 100, status=503, failure="server_error", cost_reason="no_usage"),
        Attempt(BACKUP, AttemptKind.FALLBACK, 200, 300, status=200, cost_nano=3),
    )
    writer.call(record(6, call_id=call(6), target=BACKUP, attempts=tried, order=(PREMIUM, BACKUP)))
    writer.call(refused(7, requested="gtp-4o\x1b[31m"))
    writer.close()
    while control.ingest.run_once():
        pass
    with served(control) as url:
        yield Cli(url, control)


def fits(result: Result) -> str:
    """The output, which has to be readable on a screen of 80 columns."""
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    return result.output


def test_status(cli: Cli) -> None:
    said = fits(cli.run("status"))
    assert "no gateway worker is running" in said
    worker_says(cli.control.places, "w1", 1)
    assert "All is well." in fits(cli.run("status"))
    assert cli.json("status")["problems"] == []
    (cli.control.places.workers / "w1.json").unlink()


def test_calls_show_time_id_route_outcome_and_cost(cli: Cli) -> None:
    said = fits(cli.run("calls"))
    assert call(6) in said
    assert "refused 404" in said
    assert "$0.000012345" in said
    assert "\x1b" not in said, "what a caller sent may not steer the terminal"
    assert len(cli.json("calls", "--target", PREMIUM)["calls"]) == 6


def test_calls_say_how_to_see_more(cli: Cli) -> None:
    first = fits(cli.run("calls", "--limit", "3"))
    cursor = first.split("--cursor ")[1].strip()
    assert call(4) in fits(cli.run("calls", "--limit", "3", "--cursor", cursor))
    assert "No calls" in fits(cli.run("calls", "--key", "nobody"))


def test_explain_a_call(cli: Cli) -> None:
    said = fits(cli.run("explain", call(6)))
    for word in ("missing_tag", "server_error", "Then, as fallback", BACKUP, "support-answer (workflow)"):
        assert word in said
    assert cli.json("explain", call(6))["call"]["call_id"] == call(6)


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "request.json"
    path.write_text('{"model": "support-answer", "messages": [{"role": "user", "content": "hi"}]}')
    return str(path)


def test_explain_a_request_without_making_it(cli: Cli, request_file: str) -> None:
    said = fits(cli.run("explain", "--model", "support-answer", "--request", request_file))
    assert f"1. {PREMIUM} (primary)" in said
    assert f"- {ECONOMY}: it lacks a tag" in said
    assert cli.json("explain", "--request", request_file)["requested"] == "support-answer"
    with_key = cli.run("explain", "--model", "support-answer", "--request", request_file, "--key", "narrow")
    assert with_key.exit_code == 1
    assert "may not use" in with_key.output


def test_a_request_may_come_from_standard_input(cli: Cli) -> None:
    result = cli.run("explain", "--request", "-", stdin='{"model": "gpt-4o", "messages": []}')
    assert f"1. {PREMIUM} (primary)" in fits(result)


@pytest.mark.parametrize("words", [[], ["call-1", "--model", "x"], ["--model", "x", "--request", "/no/such/file"]])
def test_explain_wants_one_thing(cli: Cli, words: list[str]) -> None:
    assert cli.run("explain", *words).exit_code == 2


def test_report(cli: Cli) -> None:
    said = fits(cli.run("report", PREMIUM, *SINCE))
    for word in ("6 calls, 85.7 %", "support-bot", "server_error", "$0.00007407", "not measured", "p99 1.1 ms"):
        assert word in said
    assert cli.json("report", PREMIUM, *SINCE)["traffic"]["calls"] == 6


def test_coverage(cli: Cli) -> None:
    said = fits(cli.run("coverage", *SINCE))
    assert "87.5 % of 8 calls" in said
    assert "gtp-4o" in said
    assert cli.json("coverage", *SINCE)["covered"]["calls"] == 7


def test_apply(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(text_of(with_alias("cli")))
    before = cli.json("status")["revision"]["number"]
    said = fits(cli.run("apply", str(file), "--reason", "why", "--author", "ann", "--based-on", str(before)))
    assert f"Revision {before + 1}" in said
    assert "No gateway worker is running" in said
    revision = cli.json("status")["revision"]
    assert (revision["author"], revision["reason"], revision["source"]) == ("ann", "why", str(file))
    assert "Nothing to do" in fits(cli.run("apply", str(file)))
    stale = cli.run("apply", str(file), "--based-on", str(before))
    assert stale.exit_code == 1
    assert f"revision {before + 1} by now" in stale.stderr


def test_apply_says_every_problem_of_a_bad_file_and_leaves_all_as_it_is(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text("{")
    before = cli.json("status")["revision"]
    result = cli.run("apply", str(file))
    assert result.exit_code == 1
    assert f"{file}:1:1: " in result.stderr
    assert "Mend: write JSON." in result.stderr
    as_json = cli.run("apply", str(file), "--json")
    assert as_json.exit_code == 1
    assert msgspec.json.decode(as_json.stdout)["problems"][0]["code"] == "bad_json"
    assert cli.json("status")["revision"] == before


def test_apply_exits_with_1_when_a_worker_does_not_follow(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(text_of(with_alias("slow")))
    worker_says(cli.control.places, "w1", 1, problem="no such file")
    result = cli.run("apply", str(file))
    (cli.control.places.workers / "w1.json").unlink()
    assert result.exit_code == 1
    assert "Worker w1 still serves revision 1: no such file." in result.output


def test_a_file_that_is_not_there(cli: Cli) -> None:
    result = cli.run("apply", "/no/such/file.yaml")
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_nobody_answering_is_said_with_a_mend() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = CliRunner().invoke(app, ["status", "--admin-url", url], env={"POINTSMAN_ADMIN_TOKEN": "x" * 16})
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "is `pointsman serve` running?" in result.stderr


def test_a_wrong_token_is_said_without_repeating_it(cli: Cli) -> None:
    result = CliRunner().invoke(app, ["status"], env={**cli.environment, "POINTSMAN_ADMIN_TOKEN": "canary-token-1234"})
    assert result.exit_code == 1
    assert "token is not accepted" in result.stderr
    assert "canary" not in result.output


def test_the_token_is_found_in_the_data_directory(cli: Cli, tmp_path: Path) -> None:
    environment = {**cli.environment, "POINTSMAN_ADMIN_TOKEN": ""}
    missing = CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)], env=environment)
    assert missing.exit_code == 1
    assert "there is no admin token" in missing.stderr
    (tmp_path / "admin-token").write_text(TOKEN.value + "\n")
    assert CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)], env=environment).exit_code == 0


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8081", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="no address"):
        AdminClient(url, "t")


def test_the_client_does_not_show_its_token() -> None:
    assert "secret" not in repr(AdminClient("http://127.0.0.1:1", "secret"))
