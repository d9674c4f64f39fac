"""What is tried again, where, and how long a caller is kept waiting; and what is never tried."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pointsman.core.policy import FailureKind, OnFailure, WorkflowSpec
from pointsman.core.record import Outcome
from pointsman.core.target import Flow, Tier, Timeouts
from pointsman.gateway.recover import LONGEST_WAIT, POINTLESS_AGAIN
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway import scripted as s
from tests.gateway.registry import document, policy, provider, target
from tests.gateway.wire import chat, elapsed
from tests.gateway.worker import Worker, worker

GOOD = s.answer(200, s.completion())


def failing_first(times: int, failure: bytes) -> s.Script:
    """Fail so often, then answer."""
    count = iter(range(1_000_000))
    lock = threading.Lock()

    def script(connection: socket.socket, _: bytes) -> None:
        with lock:
            number = next(count)
        connection.sendall(failure if number < times else GOOD)

    return script


def error(status: int, extra: str = "") -> bytes:
    return s.answer(status, {"error": {"message": "no", "type": "x", "code": None}}, extra=extra)


EVERYTHING = tuple(FailureKind)
STATUS = {400: FailureKind.INVALID_REQUEST, 401: FailureKind.AUTH, 404: FailureKind.NOT_FOUND}
SCRIPTS: dict[str, s.Script] = {
    "once": failing_first(1, error(500)),
    "wait": failing_first(1, error(429, "retry-after: 0.3\r\n")),
    "wait-ms": failing_first(1, error(429, "retry-after-ms: 200\r\nretry-after: 50\r\n")),
    "wait-long": failing_first(1, error(429, f"retry-after: {LONGEST_WAIT + 1}\r\n")),
    "wait-deadline": s.saying(error(429, "retry-after: 1.5\r\n")),
    "sick": s.saying(error(500)),
    "well": s.saying(GOOD),
    "economy": s.saying(GOOD),
    "spare": s.saying(GOOD),
    **{f"s{status}": s.saying(error(status)) for status in STATUS},
    **{f"n{status}": s.saying(error(status)) for status in STATUS},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[s.Scripted]:
    with s.scripted(SCRIPTS) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: s.Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    patient = OnFailure(retry=3, on=EVERYTHING)
    special = {
        "economy": target("up:economy", tier=Tier.ECONOMY),
        "spare": target("up:spare", participates=(Flow.FALLBACK,)),
        "wait-deadline": target("up:wait-deadline", timeouts=Timeouts(2, 1, 1, 0.6)),
    }
    parts = document(
        provider("up", upstream.base_url),
        provider("gone", "http://127.0.0.1:1/v1"),
        provider("keyless", upstream.base_url, credential="env:POINTSMAN_TESTS_NO_SUCH_KEY"),
        target("gone:far"),
        target("keyless:well"),
        *(special.get(model) or target(f"up:{model}") for model in SCRIPTS),
        policy("no-retry", "up:sick", "up:well", on_failure=OnFailure(retry=0)),
        policy("no-fallback", "up:sick", "up:well", on_failure=OnFailure(retry=0, fallback=False)),
        policy("long-wait", "up:wait-long", "up:well"),
        policy("regulated", "gone:far", "up:economy", tags=("regulated-ok",)),
        policy("spare-first", "up:spare", "up:well"),
        policy("keyless", "keyless:well", "up:well"),
        policy("only-keyless", "keyless:well"),
        *(policy(f"again-{status}", f"up:s{status}", "up:well", on_failure=patient) for status in STATUS),
        *(policy(f"never-{status}", f"up:n{status}", "up:well") for status in STATUS),
        WorkflowSpec("no-retry-flow", "no-retry"),
        WorkflowSpec("no-fallback-flow", "no-fallback"),
        WorkflowSpec("long-wait-flow", "long-wait"),
        WorkflowSpec("regulated-flow", "regulated"),
        WorkflowSpec("spare-flow", "spare-first"),
        WorkflowSpec("keyless-flow", "keyless"),
        WorkflowSpec("only-keyless-flow", "only-keyless"),
        *(
            WorkflowSpec(f"{word}-{status}-flow", f"{word}-{status}")
            for status in STATUS
            for word in ("again", "never")
        ),
    )
    with worker(tmp_path_factory.mktemp("recovery"), parts) as running:
        yield running
        running.assert_sound()


def test_a_route_to_a_single_target_still_tries_again(gateway: Worker) -> None:
    reply = gateway.ask(chat("up:once"))
    record = gateway.record(reply.call_id)
    assert (reply.status, reply.headers["x-pointsman-attempts"]) == (200, "2")
    assert [(a.kind, a.failure) for a in record.attempts] == [("primary", "server_error"), ("retry", "")]
    assert record.cost_nano == record.attempts[1].cost_nano


@pytest.mark.parametrize(("model", "seconds"), [("wait", 0.3), ("wait-ms", 0.2)])
def test_a_short_retry_after_is_waited_for(gateway: Worker, model: str, seconds: float) -> None:
    since = time.monotonic()
    reply = gateway.ask(chat(f"up:{model}"))
    assert reply.status == 200
    assert elapsed(since) >= seconds
    first, second = gateway.record(reply.call_id).attempts
    assert second.started_us - first.started_us >= seconds * 1e6


def test_a_long_retry_after_goes_to_the_next_target_at_once(gateway: Worker) -> None:
    since = time.monotonic()
    reply = gateway.ask(chat("long-wait-flow"))
    assert elapsed(since) < LONGEST_WAIT
    assert [a.kind for a in gateway.record(reply.call_id).attempts] == ["primary", "fallback"]
    again = gateway.record(gateway.ask(chat("long-wait-flow")).call_id)
    assert [(d.target, d.reason) for d in again.dropped] == [("up:wait-long", "cooling_down")]
    assert [a.kind for a in again.attempts] == ["primary"]


def test_nobody_waits_beyond_the_deadline_of_a_call(gateway: Worker) -> None:
    since = time.monotonic()
    reply = gateway.ask(chat("up:wait-deadline"))
    assert (reply.status, reply.code) == (429, "upstream_rate_limited")
    assert reply.headers["retry-after"] == "2"
    assert elapsed(since) < 1.0


@pytest.mark.parametrize("status", STATUS)
def test_what_the_same_target_would_only_repeat_is_not_repeated_there(gateway: Worker, status: int) -> None:
    assert STATUS[status] in POINTLESS_AGAIN
    record = gateway.record(gateway.ask(chat(f"again-{status}-flow")).call_id)
    assert [(a.target, a.kind) for a in record.attempts] == [(f"up:s{status}", "primary"), ("up:well", "fallback")]


@pytest.mark.parametrize("status", STATUS)
def test_a_failure_that_the_policy_does_not_list_ends_the_call(gateway: Worker, status: int) -> None:
    record = gateway.record(gateway.ask(chat(f"never-{status}-flow")).call_id)
    assert [a.target for a in record.attempts] == [f"up:n{status}"]
    assert record.outcome is Outcome.FAILED


def test_a_policy_without_fallback_drops_the_others_and_says_so(gateway: Worker) -> None:
    record = gateway.record(gateway.ask(chat("no-fallback-flow")).call_id)
    assert [(d.target, d.reason) for d in record.dropped] == [("up:well", "fallback_off")]
    assert [a.target for a in record.attempts] == ["up:sick"]


def test_a_fallback_only_target_waits_for_its_turn(gateway: Worker) -> None:
    record = gateway.record(gateway.ask(chat("spare-flow")).call_id)
    assert record.order == ("up:well", "up:spare")
    assert record.target == "up:well"


def test_a_regulated_call_is_refused_rather_than_served_by_what_is_left(gateway: Worker, upstream: s.Scripted) -> None:
    reply = gateway.ask(chat("regulated-flow"))
    assert (reply.status, reply.code) == (422, "no_eligible_target")
    assert "up:economy (missing_tag: regulated-ok)" in reply.error["message"]
    record = gateway.record(reply.call_id)
    assert [(d.target, d.reason) for d in record.dropped] == [
        ("gone:far", "missing_tag"),
        ("up:economy", "missing_tag"),
    ]
    assert record.attempts == ()
    assert "economy" not in upstream.seen


def test_a_target_whose_credential_is_missing_is_dropped_and_the_others_serve(gateway: Worker) -> None:
    record = gateway.record(gateway.ask(chat("keyless-flow")).call_id)
    assert [(d.target, d.reason) for d in record.dropped] == [("keyless:well", "credential_missing")]
    assert record.target == "up:well"
    refused = gateway.ask(chat("only-keyless-flow"))
    assert (refused.status, refused.code) == (422, "no_eligible_target")
    assert "credential_missing" in refused.error["message"]


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim", control_port=0)) as running:
        yield running


def test_a_regulated_workflow_in_an_outage_never_reaches_the_economy_target(
    sim: SimulatorThread, upstream: s.Scripted, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten calls through an outage of the only cleared target: every one refused or failed, none served by the other."""
    parts = document(
        provider("sim", sim.base_url),
        provider("up", upstream.base_url),
        target("sim:premium", tags=("regulated-ok",)),
        target("up:economy"),
        policy("regulated", "sim:premium", "up:economy", tags=("regulated-ok",)),
        WorkflowSpec("support-answer", "regulated"),
    )
    sim.behave("down")
    with worker(tmp_path_factory.mktemp("outage"), parts) as running:
        replies = [running.ask(chat("support-answer", stream=bool(number % 2))) for number in range(10)]
        codes = [reply.code for reply in replies]
        assert set(codes) == {"upstream_error", "no_healthy_target"}, "first the outage, then the breaker"
        assert codes.index("no_healthy_target") == 3
        refused = replies[-1]
        assert refused.status == 503
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert "sim:premium (down); up:economy (missing_tag: regulated-ok)" in refused.error["message"]
        assert {a.target for record in running.records() for a in record.attempts} == {"sim:premium"}
        sim.behave()
        time.sleep(2.0)
        healed = running.ask(chat("support-answer"))
        assert healed.status == 200, "a breaker closes again when the target heals"
        running.assert_sound()
    assert "economy" not in upstream.seen
