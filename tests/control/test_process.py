"""The control process itself: its order, its end, its refusals, its survival of kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman.cli.client import AdminClient
from pointsman.core.places import Current, Places
from pointsman.telemetry.spool import SpoolWriter
from tests.control.making import DOCUMENT, text_of, until, with_alias
from tests.store.making import record

RUN = """
import logging, os, sys
from pathlib import Path
from pointsman.control.process import Options, run
from tests.control.making import json_compiler
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
root, config, parent = sys.argv[1:4]
options = Options(
    Path(root), Path(config) if config else None, admin_port=0, parent_fd=int(parent) if parent else None
)
sys.exit(run(options, os.environ, json_compiler))
"""


class Process:
    """A control process over `root`, with the compiler of these tests."""

    def __init__(self, root: Path, config: Path | None = None, **more: Any) -> None:
        self.places = Places(root / "data")
        self.log = root / f"log-{time.monotonic_ns()}"
        parent = more.pop("parent", "")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(self.places.root), str(config or ""), str(parent)],
                stderr=log,
                cwd=Path(__file__).parents[2],
                **more,
            )

    def text(self) -> str:
        return self.log.read_text()

    def current(self) -> int:
        try:
            return msgspec.json.decode(self.places.current.read_bytes(), type=Current).revision
        except FileNotFoundError:
            return 0

    def serving(self) -> None:
        until(lambda: self.current() > 0)

    def url(self) -> str:
        until(lambda: "admin API on " in self.text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.text()
        return self.text().split("admin API on ")[1].split()[0]

    def api(self) -> AdminClient:
        url = self.url()
        return AdminClient(url, self.places.admin_token.read_text().strip())

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text_of())
    return path


@pytest.fixture
def started(tmp_path: Path, config: Path) -> Iterator[Process]:
    process = Process(tmp_path, config)
    yield process
    if process.process.poll() is None:
        process.end(signal.SIGKILL)


def test_it_publishes_serves_ingests_and_ends_in_good_order(started: Process) -> None:
    api = started.api()
    assert started.current() == 1
    assert api.get("/status")["revision"]["number"] == 1
    writer = SpoolWriter(started.places.spool, "w1")
    writer.call(record(1))
    until(lambda: api.get("/calls")["calls"])
    writer.call(record(2))
    writer.close()
    assert started.end() == 0
    assert list(started.places.spool.glob("*.spool")) == []


def test_the_registry_is_published_before_the_api_is_there(started: Process) -> None:
    until(lambda: started.current() == 1)
    assert "admin API on" not in started.text()


def test_the_token_is_never_in_the_log(started: Process) -> None:
    started.url()
    token = started.places.admin_token.read_text().strip()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(started.url() + "/api/v1/status", timeout=5)
    assert str(started.places.admin_token) in started.text()
    assert token not in started.text()


def test_a_bad_file_and_nothing_stored_ends_it_with_every_problem(tmp_path: Path, config: Path) -> None:
    config.write_text("{")
    process = Process(tmp_path, config)
    assert process.process.wait(15) == 1
    assert "does not compile" in process.text()
    assert process.text().count("Mend: write JSON.") == 1


def test_a_missing_file_and_nothing_stored_ends_it(tmp_path: Path) -> None:
    process = Process(tmp_path, tmp_path / "nowhere.yaml")
    assert process.process.wait(15) == 1
    assert "nowhere.yaml cannot be read" in process.text()


def test_a_bad_file_over_a_good_revision_serves_that_and_says_so(
    tmp_path: Path, started: Process, config: Path
) -> None:
    started.url()
    started.end()
    config.write_text("{")
    again = Process(tmp_path, config)
    try:
        problems = again.api().get("/status")["problems"]
        assert again.current() == 1
        assert any("does not compile" in problem for problem in problems)
        assert "Revision 1, the last good one, is served" in again.text()
        config.write_text(text_of(with_alias("mended")))
        until(lambda: again.current() == 2)
    finally:
        again.end()


def test_without_a_file_it_serves_what_is_stored_or_waits_for_an_apply(tmp_path: Path) -> None:
    process = Process(tmp_path)
    try:
        api = process.api()
        assert process.current() == 0
        api.post("/revisions", {"text": text_of()})
        assert process.current() == 1
    finally:
        process.end()
    process.places.current.unlink()
    again = Process(tmp_path)
    try:
        until(lambda: again.current() == 1)
    finally:
        again.end()


def test_a_restart_with_the_same_file_makes_no_revision(tmp_path: Path, started: Process, config: Path) -> None:
    started.url()
    started.end()
    again = Process(tmp_path, config)
    try:
        assert len(again.api().get("/revisions")["revisions"]) == 1
    finally:
        again.end()


def test_it_ends_when_its_supervisor_does(tmp_path: Path, config: Path) -> None:
    theirs, ours = os.pipe()
    process = Process(tmp_path, config, parent=theirs, pass_fds=(theirs,))
    os.close(theirs)
    process.url()
    os.close(ours)
    assert process.process.wait(15) == 0


def test_a_signal_during_the_start_ends_it_too(tmp_path: Path, config: Path) -> None:
    process = Process(tmp_path, config)
    until(lambda: process.current() == 1)
    assert process.end() == 0


def test_a_second_one_over_the_same_data_is_refused(tmp_path: Path, started: Process, config: Path) -> None:
    started.url()
    second = Process(tmp_path, config)
    assert second.process.wait(15) == 1
    assert "another control process" in second.text()


@pytest.mark.timeout(60)
def test_killed_at_any_moment_it_comes_back_with_every_record_and_revision(tmp_path: Path, config: Path) -> None:
    places = Places(tmp_path / "data")
    places.make()
    writer, written = SpoolWriter(places.spool, "w1", segment_bytes=20_000), 0
    for life in range(6):
        process = Process(tmp_path, config)
        process.serving()
        config.write_text(text_of(with_alias(f"life-{life}")))
        deadline = time.monotonic() + 0.1 + 0.15 * life
        while time.monotonic() < deadline:
            writer.call(record(written))
            written += 1
            time.sleep(0.0005)
        process.end(signal.SIGKILL)
    writer.close()
    last = Process(tmp_path, config)
    try:
        api = last.api()
        until(lambda: not list(last.places.spool.glob("*.spool")))
        found: list[str] = []
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            page = api.get("/calls", limit=1000, cursor=page["next"])
            found += [call["call_id"] for call in page["calls"]]
        assert found == [record(n).call_id for n in reversed(range(written))]
        revisions = api.get("/revisions")["revisions"]
        assert [r["number"] for r in revisions] == list(range(len(revisions), 0, -1))
        assert last.current() == revisions[0]["number"]
        assert api.get("/targets")["targets"][0]["name"] == DOCUMENT.targets[0].name
    finally:
        last.end()
