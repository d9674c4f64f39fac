"""A caller that goes away: its upstream call ends at once, one record says so, nothing is left over."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from pointsman.core.document import Document
from pointsman.core.record import CallRecord, Outcome
from pointsman.testing.simulator import RecordedRequest, Settings, SimulatorThread
from tests.gateway import scripted as s
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import Caller, calling, chat, request
from tests.gateway.worker import Worker, until, worker

AT_ONCE = 0.1
"""Seconds within which an upstream must know."""


@pytest.fixture(scope="module")
def flood() -> Iterator[s.Scripted]:
    """A provider that talks for as long as it is listened to."""

    def endless(connection: socket.socket, _: bytes) -> None:
        piece = s.chunk(s.event("x" * 10_000) * 10)
        connection.sendall(s.STREAM_HEAD)
        try:
            while True:
                connection.sendall(piece)
        finally:
            ended.set()

    ended = threading.Event()
    with s.scripted({"flood": endless}) as running:
        running.ended = ended  # type: ignore[attr-defined]  # what this provider alone has
        yield running


def parts(sim: SimulatorThread, flood: s.Scripted) -> Document:
    return document(
        provider("sim", sim.base_url),
        provider("flood", flood.base_url),
        target("flood:flood"),
        target("sim:slow", "m#latency:8s"),
        target("sim:hang-late", "m#hang:after_headers"),
        target("sim:hang-mid", "m#hang:mid_body"),
        target("sim:no-token", "m#first_token_latency:8s"),
        target("sim:tokens", "m#token_delay:30ms"),
        target("sim:quick", "m"),
        target("sim:wait", "m#rate_limited:1.9"),
    )


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sim: SimulatorThread, flood: s.Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(tmp_path_factory.mktemp("hang-up"), parts(sim, flood)) as running:
        yield running
        running.assert_sound()


def arrived(sim: SimulatorThread, text: str) -> RecordedRequest:
    return until(lambda: next((r for r in sim.requests if text.encode() in r.body), None))


def cancelled(gateway: Worker, task: str) -> CallRecord:
    record = gateway.record_of(task)
    assert (record.outcome, record.error) == (Outcome.CANCELLED, "client_closed")
    assert record.cost_nano is None
    assert record.cost_reason == "cancelled"
    return record


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize(
    ("model", "stream", "status"),
    [
        ("sim:slow", False, 0),
        ("sim:hang-late", False, 0),
        ("sim:hang-mid", False, 0),
        ("sim:slow", True, 0),
        ("sim:no-token", True, 0),
        ("sim:hang-mid", True, 200),
        ("sim:tokens", True, 200),
    ],
)
def test_the_upstream_knows_at_once(
    gateway: Worker, sim: SimulatorThread, model: str, stream: bool, status: int, how: str
) -> None:
    task = uuid.uuid4().hex
    with calling(gateway.port) as caller:
        caller.send(request(chat(model, task, stream=stream), headers={"x-pointsman-task": task}))
        seen = arrived(sim, task)
        if status:
            caller.head()
            next(caller.chunks())
        else:
            time.sleep(0.03)
        left = time.monotonic()
        if how == "close":
            caller.close()
        elif how == "reset":
            caller.reset()
        else:
            caller.socket.shutdown(socket.SHUT_WR)
        until(lambda: seen.client_closed_at)
        assert seen.client_closed_at is not None
        assert seen.client_closed_at - left < AT_ONCE
    record = cancelled(gateway, task)
    assert record.status == status
    assert [a.failure for a in record.attempts] == ["cancelled"]
    assert record.attempts[0].cost_reason == "cancelled"
    if status:
        assert record.response_bytes > 0
        assert record.first_token_us is not None


@pytest.mark.parametrize("size", [300_000, 400_000, 500_000, 700_000, 1_500_000])
def test_the_end_is_heard_behind_a_large_body_too(gateway: Worker, sim: SimulatorThread, size: int) -> None:
    task = uuid.uuid4().hex
    with calling(gateway.port) as caller:
        body = chat("sim:slow", task, padding="x" * size)
        caller.send(request(body, headers={"x-pointsman-task": task}))
        seen = arrived(sim, task)
        left = time.monotonic()
        caller.close()
        until(lambda: seen.client_closed_at)
        assert seen.client_closed_at is not None
        assert seen.client_closed_at - left < AT_ONCE
    cancelled(gateway, task)


def test_a_caller_that_does_not_read_and_then_goes_ends_its_stream(gateway: Worker, flood: s.Scripted) -> None:
    task = uuid.uuid4().hex
    with calling(gateway.port, receive_buffer=4096) as caller:
        caller.send(request(chat("flood:flood", stream=True), headers={"x-pointsman-task": task}))
        until(lambda: "flood" in flood.seen)
        time.sleep(0.3)
    assert flood.ended.wait(5.0), "the upstream was left talking to nobody"  # type: ignore[attr-defined]  # see above
    cancelled(gateway, task)


def test_a_caller_that_leaves_while_a_retry_is_waited_for_is_not_tried_again(
    gateway: Worker, sim: SimulatorThread
) -> None:
    task = uuid.uuid4().hex
    with calling(gateway.port) as caller:
        caller.send(request(chat("sim:wait", task), headers={"x-pointsman-task": task}))
        arrived(sim, task)
        time.sleep(0.05)
    record = gateway.record_of(task)
    assert (record.outcome, [a.failure for a in record.attempts]) == (Outcome.CANCELLED, ["rate_limited"])
    assert record.cost_nano == 0, "a refused attempt costs nothing, and no other was made"


def test_a_caller_that_leaves_in_its_own_body_has_a_record(gateway: Worker) -> None:
    before = {record.call_id for record in gateway.records()}
    with calling(gateway.port) as caller:
        caller.send(request(chat("sim:quick"))[:-10])
        time.sleep(0.05)
    (record,) = until(lambda: [r for r in gateway.records() if r.call_id not in before])
    assert (record.outcome, record.status, record.attempts) == (Outcome.CANCELLED, 0, ())


@pytest.mark.parametrize("stream", [False, True])
def test_whenever_a_caller_leaves_there_is_one_record(gateway: Worker, sim: SimulatorThread, stream: bool) -> None:
    """Forty callers leave at moments spread over a call's whole life, its very end included."""
    tasks = [uuid.uuid4().hex for _ in range(40)]
    for place, task in enumerate(tasks):
        with calling(gateway.port) as caller:
            caller.send(request(chat("sim:quick", task, stream=stream), headers={"x-pointsman-task": task}))
            time.sleep(place * 0.0001)
            if place % 2:
                caller.reset()
    records = [gateway.record_of(task) for task in tasks[1:]]
    assert {record.outcome for record in records} <= {Outcome.OK, Outcome.CANCELLED}
    time.sleep(0.05)
    everything = [record.call_id for record in gateway.records()]
    assert len(everything) == len(set(everything)), "no call is recorded twice"
    until(lambda: gateway.metric("pointsman_in_flight") == 0)


def test_callers_that_left_leave_no_connection_behind(gateway: Worker, sim: SimulatorThread) -> None:
    text = uuid.uuid4().hex
    callers = [Caller(gateway.port) for _ in range(30)]
    for place, caller in enumerate(callers):
        caller.send(request(chat("sim:hang-mid" if place % 2 else "sim:slow", text, stream=True)))
    until(lambda: len([r for r in sim.requests if text.encode() in r.body]) == 30)
    open_before = sim.call(lambda: len(sim.simulator.connections))
    for caller in callers:
        caller.close()
    until(lambda: sim.call(lambda: len(sim.simulator.connections)) <= open_before - 30)
    until(lambda: gateway.metric("pointsman_in_flight") == 0)


def test_a_callers_waiting_requests_are_not_made_after_it_left(gateway: Worker, sim: SimulatorThread) -> None:
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    with calling(gateway.port) as caller:
        caller.send(
            request(chat("sim:slow", first), headers={"x-pointsman-task": first})
            + request(chat("sim:quick", second), headers={"x-pointsman-task": second})
        )
        arrived(sim, first)
    cancelled(gateway, first)
    time.sleep(0.05)
    assert not [r for r in sim.requests if second.encode() in r.body]
    assert not [r for r in gateway.records() if r.task == second]
