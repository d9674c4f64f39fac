"""Callers that take their time: every phase has a bound. The worker runs in this process, its bounds made small."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from pointsman.core.places import Places
from pointsman.core.record import CallRecord, Outcome
from pointsman.gateway import receive, server, settle
from pointsman.gateway.worker import Worker
from pointsman.telemetry.spool import read_frames
from tests.gateway import scripted as s
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import calling, chat, elapsed, request
from tests.gateway.worker import publish, until

HEALTH = request(method="GET", path="/healthz")
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer pm-tests-everything\r\n"


def flood(connection: socket.socket, _: bytes) -> None:
    connection.sendall(s.STREAM_HEAD)
    while True:
        connection.sendall(s.chunk(s.event("x" * 50_000)))


class Inside:
    """A worker on a thread of this process."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.port = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=uvloop.run, args=(self._run(),), daemon=True)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._worker = Worker(self.places, 0, {})
        await self._worker.run(self._listener, self._stop, 1.0)

    def __enter__(self) -> Inside:
        self._thread.start()
        until(self._answers)
        return self

    def _answers(self) -> bool:
        with calling(self.port) as caller:
            caller.send(request(method="GET", path="/readyz"))
            return caller.response().status == 200

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def records(self) -> list[CallRecord]:
        """The finished calls."""
        data = b"".join(path.read_bytes() for path in sorted(self.places.spool.glob("*.spool")))
        return [frame.record for frame in read_frames(data) if not frame.opened]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.3)
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(server, "STUCK_SECONDS", 0.5)
    monkeypatch.setattr(receive, "BODY_SECONDS", 0.3)
    places = Places(tmp_path / "data")
    with s.scripted({"good": s.saying(s.answer(200, s.completion())), "flood": flood}) as upstream:
        publish(places, document(provider("up", upstream.base_url), target("up:good"), target("up:flood")), 1)
        with Inside(places) as running:
            yield running


def test_a_call_whose_record_could_not_be_kept_is_refused(gateway: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "BACKLOG", 0)
    with calling(gateway.port) as caller:
        caller.send(request(chat("up:good")))
        reply = caller.response()
        assert (reply.status, reply.code) == (503, "record_unavailable")
        assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("5", "true")
        monkeypatch.undo()
        caller.send(request(chat("up:good")))
        assert caller.response().status == 200


def test_a_connection_that_says_nothing_is_closed(gateway: Inside) -> None:
    since = time.monotonic()
    with calling(gateway.port) as caller:
        assert caller.at_end()
    assert 0.2 < elapsed(since) < 3


def test_a_head_that_does_not_end_is_refused(gateway: Inside) -> None:
    since = time.monotonic()
    with calling(gateway.port) as caller:
        caller.send(b"POST /v1/chat/completions HTTP/1.1\r\n")
        for _ in range(3):
            time.sleep(0.05)
            caller.send(b"x-drip: 1\r\n")
        reply = caller.response()
        assert (reply.status, reply.code) == (408, "body_timeout")
        assert caller.at_end()
    assert elapsed(since) < 3


def test_a_body_that_does_not_end_is_refused_on_record(gateway: Inside) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEAD + b'content-length: 100\r\n\r\n{"model":')
        reply = caller.response()
        assert (reply.status, reply.code) == (408, "body_timeout")
        assert reply.headers["connection"] == "close"
        assert caller.at_end()
    (record,) = gateway.records()
    assert (record.outcome, record.error, record.status) == (Outcome.REFUSED, "body_timeout", 408)


def test_a_body_that_drips_is_refused_although_it_never_rests(gateway: Inside) -> None:
    since = time.monotonic()
    with calling(gateway.port) as caller:
        caller.send(HEAD + b"content-length: 1000\r\n\r\n")
        while elapsed(since) < 0.6:
            caller.send(b" ")
            time.sleep(0.02)
        assert caller.response().status == 408


def test_a_connection_that_rests_between_requests_is_closed_quietly(gateway: Inside) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEALTH)
        assert caller.response().status == 200
        since = time.monotonic()
        assert caller.at_end()
    assert 0.2 < elapsed(since) < 4


def test_a_connection_in_use_is_not_closed(gateway: Inside) -> None:
    with calling(gateway.port) as caller:
        for _ in range(20):
            caller.send(request(chat("up:good")))
            assert caller.response().status == 200
            time.sleep(0.1)


def test_a_caller_that_goes_on_sending_what_nobody_reads_is_cut_off(gateway: Inside) -> None:
    since = time.monotonic()
    with calling(gateway.port) as caller:
        caller.send(HEAD.replace(b"pm-tests", b"nobody") + b"content-length: 100000000\r\n\r\n")
        assert caller.response().status == 401
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            send_until(caller.socket, since + 5)
    assert elapsed(since) < 3


def send_until(connection: socket.socket, end: float) -> None:
    while time.monotonic() < end:
        connection.sendall(b"x" * 1000)
        time.sleep(0.01)


def test_a_caller_that_never_reads_its_stream_is_given_up(gateway: Inside) -> None:
    with calling(gateway.port, receive_buffer=4096) as caller:
        caller.send(request(chat("up:flood", stream=True)))
        (record,) = until(gateway.records)
        assert (record.outcome, record.status, record.error) == (Outcome.CANCELLED, 200, "client_closed")


def test_a_caller_that_reads_slowly_is_not_given_up(gateway: Inside) -> None:
    since = time.monotonic()
    with calling(gateway.port, receive_buffer=4096) as caller:
        caller.send(request(chat("up:flood", stream=True)))
        while elapsed(since) < 2.5:
            assert caller.socket.recv(200_000)
            time.sleep(0.02)
        assert gateway.records() == []
