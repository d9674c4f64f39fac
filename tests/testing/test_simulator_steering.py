"""The listener that goes away, the `/_sim` endpoints, and what is remembered of requests."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from pointsman.testing.simulator import Down, Settings, Simulator, SimulatorThread
from tests.testing.wire import CHAT, Seen, request, send


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it went down between accept and now
        return True
    return False


def eventually(holds: Callable[[], bool], seconds: float = 3.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.005)
    return False


def control(sim: SimulatorThread, method: str, path: str, body: Any = None) -> Seen:
    return send(sim, body, path=path, method=method)


def test_down_refuses_until_told_otherwise_and_keeps_the_port() -> None:
    with SimulatorThread() as sim:
        port = sim.port
        sim.behave(Down())
        assert is_refused(port)
        sim.behave()
        assert sim.port == port
        assert send(sim).status == 200


def test_down_resets_what_is_open() -> None:
    with SimulatorThread("hang") as sim, socket.create_connection(("127.0.0.1", sim.port), timeout=5) as sock:
        sock.sendall(request(CHAT))
        assert eventually(lambda: len(sim.requests) == 1)
        sim.behave("down")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_down_for_a_time_comes_back_by_itself() -> None:
    with SimulatorThread() as sim:
        sim.behave("down:100ms")
        assert is_refused(sim.port)
        assert eventually(lambda: not is_refused(sim.port))
        assert send(sim).status == 200


def test_down_can_strike_at_a_request() -> None:
    with SimulatorThread("down:100ms,after=1,first=1") as sim:
        assert send(sim).status == 200
        assert send(sim).ending == "reset"
        assert eventually(lambda: is_refused(sim.port), 0.1)
        assert eventually(lambda: not is_refused(sim.port))
        assert send(sim).status == 200


def test_flapping_goes_up_and_down_in_turns() -> None:
    with SimulatorThread("flapping:up=60ms,down=60ms") as sim:
        changes = 0
        before = False
        deadline = time.monotonic() + 3
        while changes < 4 and time.monotonic() < deadline:
            now = is_refused(sim.port)
            changes += now != before
            before = now
        assert changes == 4
        sim.behave()
        assert send(sim).status == 200


def test_another_process_can_steer_it() -> None:
    with SimulatorThread() as sim:
        answer = control(sim, "POST", "/_sim/behaviour", {"faults": ["server_error:503", {"fault": "latency"}]})
        assert [fault["fault"] for fault in answer.json["faults"]] == ["server_error", "latency"]
        assert send(sim).status == 503
        seen = control(sim, "GET", "/_sim/requests").json
        assert seen["count"] == 1
        assert seen["requests"][0]["path"] == "/v1/chat/completions"
        assert seen["requests"][0]["body"] == CHAT
        assert seen["requests"][0]["faults"] == ["server_error", "latency"]
        assert control(sim, "GET", "/_sim/requests?after=1").json["requests"] == []
        assert control(sim, "POST", "/_sim/reset").json["faults"] == []
        assert send(sim).status == 200
        assert control(sim, "GET", "/_sim/requests").json["count"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/_sim/behaviour", {"faults": ["nonsense"]}, 400),
        ("POST", "/_sim/behaviour", {"fautls": []}, 400),
        ("POST", "/_sim/behaviour", b"{", 400),
        ("POST", "/_sim/behaviour", {"faults": ["down"]}, 400),
        ("GET", "/_sim/requests?after=x", None, 400),
        ("GET", "/_sim/nowhere", None, 404),
    ],
)
def test_wrong_control_requests_change_nothing(method: str, path: str, body: Any, status: int) -> None:
    with SimulatorThread("no_usage") as sim:
        assert control(sim, method, path, body).status == status
        assert [fault.name for fault in sim.simulator.behaviour.faults] == ["no_usage"]
        assert send(sim).status == 200


def test_down_over_the_same_port_is_answered_first_and_undone_by_time() -> None:
    with SimulatorThread() as sim:
        assert control(sim, "POST", "/_sim/behaviour", {"faults": ["down:100ms"]}).status == 200
        assert eventually(lambda: is_refused(sim.port), 0.09)
        assert eventually(lambda: not is_refused(sim.port))


def test_the_control_port_stays_up_while_the_provider_is_down() -> None:
    with SimulatorThread(settings=Settings(control_port=0)) as sim:
        port = int(sim.control_url.rpartition(":")[2])
        assert port != sim.port
        for faults, up in (["down"], False), ([], True):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(request({"faults": faults}, path="/_sim/behaviour"))
                head, _, body = sock.recv(65_536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)["up"] is up
            assert is_refused(sim.port) is not up


def test_a_client_that_leaves_early_is_noticed_within_100_ms() -> None:
    with SimulatorThread("token_delay:50ms") as sim:
        with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as sock:
            sock.sendall(request({**CHAT, "stream": True}))
            sock.recv(1000)
        left = time.monotonic()
        assert eventually(lambda: sim.requests[0].client_closed_at is not None)
        closed_at = sim.requests[0].client_closed_at
        assert closed_at is not None
        assert abs(closed_at - left) < 0.1
        assert sim.requests[0].finished_at is None


def test_a_client_that_stays_is_not_called_early() -> None:
    with SimulatorThread() as sim:
        send(sim)
        record = sim.requests[0]
        assert record.client_closed_at is None
        assert record.finished_at is not None
        assert record.first_byte_at is not None
        assert record.received_at <= record.first_byte_at <= record.finished_at
        assert (record.method, record.status, record.headers["host"]) == ("POST", 200, "sim")


def test_requests_share_a_connection_one_after_the_other() -> None:
    with SimulatorThread() as sim, socket.create_connection(("127.0.0.1", sim.port), timeout=5) as sock:
        # Both at once: answers must come in order, even though the first waits.
        sock.sendall(request({**CHAT, "model": "m#latency:50ms"}) + request({**CHAT, "model": "second"}))
        raw = b""
        while raw.count(b'"model":') < 2:
            raw += sock.recv(65_536)
        assert raw.index(b'"model":"m"') < raw.index(b'"model":"second"')
        assert {record.connection for record in sim.requests} == {sim.requests[0].connection}


def test_only_the_latest_requests_are_kept() -> None:
    with SimulatorThread(settings=Settings(keep=3)) as sim:
        for _ in range(5):
            send(sim)
        assert [record.number for record in sim.requests] == [3, 4, 5]
        assert sim.simulator.count == 5


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"NONSENSE / HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_is_refused(garbage: bytes) -> None:
    with SimulatorThread() as sim, socket.create_connection(("127.0.0.1", sim.port), timeout=5) as sock:
        sock.sendall(garbage)
        assert sock.recv(1000).startswith(b"HTTP/1.1 400")


def test_it_runs_inside_a_loop_as_well() -> None:
    async def ask() -> bytes:
        async with Simulator(settings=Settings(name="premium")) as sim:
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            writer.write(request(CHAT))
            head = await reader.readuntil(b"\r\n\r\n")
            assert len(sim.requests) == 1
            writer.close()
            return head

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 200")
