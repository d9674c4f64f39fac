"""How `pointsman serve` starts: quickly, on the last good revision if it must, or not at all and saying why."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.testing.simulator import SimulatorThread
from tests.system.caller import post
from tests.system.registry import chat, registry
from tests.system.stage import PATIENCE, Served, serving, until

READY_SECONDS = 5.0
"""The aim is two seconds on a machine that has time; tests share theirs."""


@pytest.fixture
def config(slow_streams: SimulatorThread, broken: SimulatorThread) -> dict[str, Any]:
    return registry(slow_streams.base_url, broken.base_url)


@pytest.fixture
def made(tmp_path: Path, config: dict[str, Any]) -> Iterator[Served]:
    """A server that is not started; whatever the test starts of it ends with the test."""
    served = Served(tmp_path, config)
    yield served
    served.close()


def refusal(served: Served) -> tuple[int, str]:
    """Start something that is to end by itself: its exit code and all it said."""
    served.launch()
    return served.process.wait(PATIENCE), served.said()


def test_it_is_ready_in_two_seconds_with_and_without_a_past(made: Served, capsys: pytest.CaptureFixture[str]) -> None:
    cold = made.start()
    made.await_control()
    assert made.stop() == 0
    warm = made.start()
    assert post(made.url, chat()).status == 200
    with capsys.disabled():
        print(f"\nready after {cold:.2f} s (empty data directory), {warm:.2f} s (one that has been used)")
    assert max(cold, warm) < READY_SECONDS


def test_a_file_that_no_longer_compiles_leaves_the_last_good_revision_in_service(made: Served) -> None:
    made.start()
    made.await_control()
    assert made.stop() == 0
    made.edit("version: 1\nworkflows: {broken")
    made.start()
    made.await_control()
    answer = post(made.url, chat())
    assert (answer.status, answer.revision) == (200, 1)
    until(lambda: made.admin().get("/status")["problems"], "status says what is amiss")
    assert "the last good one, is served" in made.said()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """The store, in somebody else's hands."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_store_that_is_locked_at_the_start_does_not_keep_the_gateway_from_serving(
    made: Served, config: dict[str, Any]
) -> None:
    made.start()
    made.await_control()
    assert made.stop() == 0
    made.edit({**config, "aliases": {**config["aliases"], "newer": "main:premium-1"}})
    with locked(made.places.database):
        made.start()
        until(lambda: "cannot start now" in made.said(), "the control process says what it waits for")
        answer = post(made.url, chat())
        assert (answer.status, answer.revision) == (200, 1)
    made.await_control()
    until(lambda: post(made.url, chat("newer")).status == 200, "the newer file is served after all")


def test_a_store_that_is_no_store_ends_the_start(made: Served) -> None:
    made.places.make()
    made.places.database.write_bytes(b"this is no database, and nobody may overwrite it" * 100)
    code, said = refusal(made)
    assert code == 1
    assert "cannot start: the store" in said
    assert made.places.database.read_bytes().startswith(b"this is no database")


def test_a_file_with_mistakes_ends_the_first_start_with_all_of_them(made: Served, config: dict[str, Any]) -> None:
    made.edit({**config, "aliases": {"one": "main:nothing", "two": "main:nobody"}})
    code, said = refusal(made)
    assert code == 1
    assert "main:nothing" in said
    assert "main:nobody" in said
    assert said.count("cannot start") == 1


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (("--config", "nowhere.yaml"), {}, "there is no file nowhere.yaml"),
        (("--workers", "0"), {}, "--workers takes"),
        (("--port", "70000"), {}, "--port takes a number from 0 to 65535"),
        (("--admin-port", "-1"), {}, "--admin-port takes a number from 0 to 65535"),
        (("--grace", "-1"), {}, "--grace takes"),
        (("--grace", "nan"), {}, "--grace takes"),
        (("--data-dir", "/proc/nowhere"), {}, "the data directory /proc/nowhere cannot be made"),
        (("--host", "203.0.113.1"), {}, "cannot listen on 203.0.113.1"),
        (("--admin-host", "203.0.113.1"), {}, "the admin API cannot listen on 203.0.113.1"),
        ((), {"POINTSMAN_MAX_BODY_BYTES": "abc"}, "POINTSMAN_MAX_BODY_BYTES takes a whole number above 0, not 'abc'"),
        ((), {"POINTSMAN_MAX_IN_FLIGHT": "0"}, "POINTSMAN_MAX_IN_FLIGHT takes"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_and_nothing_is_started(
    options: tuple[str, ...], env: dict[str, str], said: str, tmp_path: Path, config: dict[str, Any]
) -> None:
    served = Served(tmp_path, config, *options, env=env, workers=2)
    code, log = refusal(served)
    assert code == 2
    assert said in log
    assert len(log.splitlines()) == 1


def test_an_admin_token_that_is_none_ends_the_start_and_is_not_repeated(tmp_path: Path, config: dict[str, Any]) -> None:
    code, said = refusal(Served(tmp_path, config, env={"POINTSMAN_ADMIN_TOKEN": "short-one"}))
    assert code == 1
    assert "POINTSMAN_ADMIN_TOKEN has to be" in said
    assert "short-one" not in said


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["--port", "--admin-port"])
def test_a_port_that_is_taken_is_named(name: str, workers: int, tmp_path: Path, config: dict[str, Any]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        served = Served(tmp_path, config, workers=workers)
        port = int(other.getsockname()[1])
        if name == "--port":
            served.port = port
        else:
            served.admin_port = port
        code, said = refusal(served)
    assert code == 2
    assert f"127.0.0.1:{port} is in use by another program. Choose another {name}." in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_one_is_refused_and_the_first_does_not_notice(
    workers: int, tmp_path: Path, config: dict[str, Any]
) -> None:
    with serving(tmp_path / "one", config, workers=workers) as first:
        second = Served(tmp_path / "two", config, workers=workers)
        second.places = first.places
        code, said = refusal(second)
        assert code == 2
        assert f"another `pointsman serve` is using the data directory {first.places.root}" in said
        third = Served(tmp_path / "three", config, workers=workers)
        third.port = first.port
        code, said = refusal(third)
        assert code == 2
        assert "Choose another --port" in said
        assert len(first.statuses()) == workers
        assert post(first.url, chat()).status == 200
        assert first.admin().get("/status")["problems"] == []


def test_without_a_file_it_waits_for_the_first_apply(tmp_path: Path, config: dict[str, Any]) -> None:
    served = Served(tmp_path, config, with_file=False)
    with closing(served):
        served.launch()
        served.await_control()
        until(lambda: post(served.url, chat()).status == 503, "the gateway says that it is not ready")
        served.admin().post("/revisions", {"text": yaml.safe_dump(config)})
        assert post(served.url, chat()).status == 200
