"""The worker as a process: its metrics, its readiness, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.core.document import Document
from pointsman.core.record import Outcome
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway.registry import cost, document, policy, provider, target
from tests.gateway.wire import calling, chat, request
from tests.gateway.worker import Worker, key, until, worker


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim")) as running:
        yield running


def parts(sim: SimulatorThread) -> Document:
    from pointsman.core.policy import WorkflowSpec

    return document(
        provider("sim", sim.base_url),
        target("sim:one", "m"),
        target("sim:drift", "m#other_model:n"),
        target("sim:dead", "dead#server_error"),
        target("sim:slow", "m#latency:500ms"),
        target("sim:tokens", "m#token_delay:20ms"),
        target("sim:hang", "m#hang"),
        policy("p", "sim:one", "sim:drift", tags=("none",)),
        WorkflowSpec("refused", "p"),
        key(),
        unregistered="sim",
    )


@pytest.fixture
def gateway(sim: SimulatorThread, tmp_path: Path) -> Iterator[Worker]:
    with worker(tmp_path, parts(sim)) as running:
        yield running


def test_the_metrics_agree_with_the_calls(gateway: Worker) -> None:
    used = 0
    for _ in range(3):
        used += gateway.ask(chat("sim:one", max_tokens=4)).json["usage"]["prompt_tokens"]
    gateway.ask(chat("sim:one", stream=True))
    gateway.ask(chat("sim:drift"))
    gateway.ask(chat("sim:dead"))
    gateway.ask(chat("refused"))
    gateway.ask(chat("made-up-name"))
    gateway.ask(chat("???"))
    gateway.ask(chat("sim:one"), key="nobody")
    count = gateway.metric
    total = "pointsman_requests_total"
    assert count(total, endpoint="chat_completions") == 10
    assert count(total, outcome="ok", status="200") == 6
    assert count(total, outcome="failed", status="502") == 1
    assert count(total, outcome="refused", status="422") == 1
    assert count(total, outcome="refused", status="404") == 1
    assert count(total, outcome="refused", status="401") == 1
    assert count("pointsman_request_seconds_count") == 10
    assert count("pointsman_overhead_seconds_count") == 10
    assert count("pointsman_first_token_seconds_count") == 1
    assert count("pointsman_attempts_total", target="sim:one", kind="primary", failure="") == 4
    assert count("pointsman_attempts_total", target="sim:dead", failure="server_error") == 2
    assert count("pointsman_attempts_total", target="(unregistered)") == 1
    assert count("pointsman_attempts_total", target="sim:made-up-name") == 0, "what callers type is no label"
    assert count("pointsman_dropped_total", reason="missing_tag") == 2
    assert count("pointsman_drift_total", target="sim:drift") == 1
    assert count("pointsman_unresolved_total", kind="unregistered") == 1
    assert count("pointsman_unresolved_total", kind="unknown") == 1
    assert count("pointsman_tokens_total", target="sim:one", kind="output") == 3 * 4 + 32
    assert count("pointsman_cost_usd_total", target="sim:one") >= cost(used, 12) / 1e9
    assert count("pointsman_in_flight") == 0
    assert count("pointsman_revision", worker="w0") == 1
    assert count("pointsman_spool_backlog") == count("pointsman_spool_errors_total") == 0
    assert len(gateway.records()) == 10


def test_every_histogram_is_cumulative_and_ends_in_its_count(gateway: Worker) -> None:
    gateway.ask(chat("sim:one"))
    text = gateway.ask(method="GET", path="/metrics").body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name in ("pointsman_request_seconds", "pointsman_overhead_seconds"):
        samples = families[name].samples
        buckets = [s.value for s in samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == next(s.value for s in samples if s.name.endswith("_count")) == 1


def test_a_call_in_flight_is_counted_as_such(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(request(chat("sim:hang")))
        until(lambda: gateway.metric("pointsman_in_flight") == 1)
    until(lambda: gateway.metric("pointsman_in_flight") == 0)


def test_two_workers_are_scraped_as_one(sim: SimulatorThread, tmp_path: Path) -> None:
    with worker(tmp_path, parts(sim)) as one, worker(tmp_path, parts(sim), index=1) as two:
        for _ in range(3):
            one.ask(chat("sim:one"))
        for _ in range(2):
            two.ask(chat("sim:one"))
        for either in (one, two):
            until(lambda either=either: either.metric("pointsman_requests_total") == 5)  # type: ignore[misc]  # bound now
            assert either.metric("pointsman_revision") == 2
        assert len(one.records()) == 5
        assert len({record.worker for record in one.records()}) == 2
        assert len({record.call_id for record in one.records()}) == 5
        assert one.stop() == 0
        until(lambda: two.metric("pointsman_requests_total") == 2)


def test_it_is_ready_when_there_is_a_revision_and_not_before(sim: SimulatorThread, tmp_path: Path) -> None:
    with worker(tmp_path, None) as running:
        assert running.ask(method="GET", path="/healthz").status == 200
        assert running.ask(method="GET", path="/readyz").status == 503
        refused = running.ask(chat("sim:one"))
        assert (refused.status, refused.code) == (503, "not_ready")
        assert refused.headers["retry-after"] == "1"
        assert running.ask(method="GET", path="/v1/models").code == "not_ready"
        assert running.ask(method="GET", path="/metrics").status == 200
        running.publish(parts(sim), 1)
        until(lambda: running.ask(method="GET", path="/readyz").status == 200)
        assert running.ask(chat("sim:one")).status == 200
        running.assert_sound()


def is_served(port: int) -> bool:
    """Whether a new caller gets as much as a byte."""
    try:
        with calling(port) as late:
            late.send(request(chat("sim:one")))
            return bool(late.receive())
    except ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_it_has_begun_and_takes_nothing_new(gateway: Worker, number: int) -> None:
    with calling(gateway.port) as whole, calling(gateway.port) as stream, calling(gateway.port) as idle:
        idle.send(request(method="GET", path="/healthz"))
        assert idle.response().status == 200
        whole.send(request(chat("sim:slow")))
        stream.send(request(chat("sim:tokens", stream=True)))
        stream.head()
        gateway.process.send_signal(number)
        assert idle.at_end()
        assert not is_served(gateway.port)
        assert whole.response().status == 200
        assert b"".join(stream.chunks()).endswith(b"data: [DONE]\n\n")
        assert whole.at_end()
        assert stream.at_end()
    assert gateway.process.wait(10) == 0
    records = gateway.records()
    assert sorted((r.outcome, r.status) for r in records) == [(Outcome.OK, 200), (Outcome.OK, 200)]
    assert not list(gateway.places.workers.glob("w0.json")), "a status file says that somebody serves"
    assert "Traceback" not in gateway.log.read_text()


def test_what_does_not_end_in_time_is_interrupted_and_recorded(sim: SimulatorThread, tmp_path: Path) -> None:
    with worker(tmp_path, parts(sim), grace=1.0) as running, calling(running.port) as caller:
        caller.send(request(chat("sim:hang"), headers={"x-pointsman-task": "left"}))
        until(lambda: running.metric("pointsman_in_flight") == 1)
        assert running.stop() == 0
        record = running.record_of("left")
        assert (record.outcome, record.error) == (Outcome.INTERRUPTED, "shutdown")
        assert [a.failure for a in record.attempts] == ["cancelled"]
        assert "Traceback" not in running.log.read_text()


def test_it_ends_with_its_parent(sim: SimulatorThread, tmp_path: Path) -> None:
    read, write = os.pipe()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        command = [sys.executable, "-m", "pointsman.gateway", "--data-dir", str(tmp_path)]
        command += ["--listen-fd", str(listener.fileno()), "--parent-fd", str(read)]
        process = subprocess.Popen(command, pass_fds=[listener.fileno(), read])
    os.close(read)
    try:
        until(lambda: list((tmp_path / "workers").glob("*.json")))
        os.close(write)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["POINTSMAN_MAX_BODY_BYTES", "POINTSMAN_MAX_IN_FLIGHT", "POINTSMAN_MAX_CONNECTIONS"])
@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_a_setting_that_makes_no_sense_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    with socket.socket() as listener:
        command = [sys.executable, "-m", "pointsman.gateway", "--data-dir", str(tmp_path)]
        command += ["--listen-fd", str(listener.fileno())]
        done = subprocess.run(
            command,
            pass_fds=[listener.fileno()],
            env={"PATH": os.environ["PATH"], name: value},
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_the_size_of_bodies_is_a_setting(sim: SimulatorThread, tmp_path: Path) -> None:
    with worker(tmp_path, parts(sim), env={"POINTSMAN_MAX_BODY_BYTES": "1000"}) as running:
        assert running.ask(chat("sim:one", "x" * 800)).status == 200
        for size in (950, 5000, 300_000, 2_000_000):
            reply = running.ask(chat("sim:one", "x" * size))
            assert (reply.status, reply.code) == (413, "body_too_large")
        running.assert_sound()


def test_calls_beyond_the_bound_are_refused_on_record(sim: SimulatorThread, tmp_path: Path) -> None:
    with (
        worker(tmp_path, parts(sim), env={"POINTSMAN_MAX_IN_FLIGHT": "2"}) as running,
        calling(running.port) as one,
        calling(running.port) as two,
    ):
        one.send(request(chat("sim:hang")))
        two.send(request(chat("sim:slow")))
        until(lambda: running.metric("pointsman_in_flight") == 2)
        refused = running.ask(chat("sim:one"))
        assert (refused.status, refused.code) == (503, "overloaded")
        assert refused.headers["x-should-retry"] == "true"
        assert running.record(refused.call_id).error == "overloaded"
        assert two.response().status == 200
        assert running.ask(chat("sim:one")).status == 200


def test_it_is_ready_within_two_seconds(sim: SimulatorThread, tmp_path: Path) -> None:
    since = time.monotonic()
    with worker(tmp_path, parts(sim)) as running:
        assert time.monotonic() - since < 6.0, "two on a machine of its own"
        assert running.rss() < (120 << 20)
