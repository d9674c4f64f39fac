"""HTTP as it should be, and as it should not: answers stay in order, and nothing is taken for what it is not."""

from __future__ import annotations

import time

import pytest

from tests.gateway.wire import Caller, calling, chat, elapsed, events, request
from tests.gateway.worker import Worker

HEALTH = request(method="GET", path="/healthz")
GOOD = request(chat("good", max_tokens=1))
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer pm-tests-everything\r\n"
BODY = b'{"model":"good","messages":[{"role":"user","content":"x"}],"max_tokens":1}'


def test_requests_that_come_at_once_are_answered_in_order(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(GOOD + HEALTH + request(chat("nothing")) + GOOD + request(method="GET", path="/x") + HEALTH)
        assert [caller.response().status for _ in range(6)] == [200, 200, 404, 200, 404, 200]


def test_a_request_may_come_a_byte_at_a_time(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        for position in range(len(GOOD)):
            caller.send(GOOD[position : position + 1])
        assert caller.response().status == 200


def test_a_connection_is_used_again_after_errors(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        for data, status in (
            (request(b"{"), 400),
            (request(chat("good"), key="nobody"), 401),
            (request(method="GET", path="/nowhere"), 404),
            (request(chat("up:dead")), 502),
            (request(chat("up:mistaken", stream=True)), 200),
            (GOOD, 200),
        ):
            caller.send(data)
            assert caller.response().status == status


def test_a_caller_that_asks_for_the_end_gets_it(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(request(chat("good"), headers={"connection": "close"}))
        reply = caller.response()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert caller.at_end()


@pytest.mark.parametrize("extra", [b"", b"connection: keep-alive\r\n"])
def test_http_1_0_gets_its_answer_and_the_end(gateway: Worker, extra: bytes) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + extra + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        reply = caller.response()
        assert reply.status == 200
        assert reply.text
        assert caller.at_end()


def test_http_1_0_gets_a_stream_without_chunks(gateway: Worker) -> None:
    body = BODY.replace(b"{", b'{"stream":true,', 1)
    with calling(gateway.port) as caller:
        caller.send(HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"content-length: %d\r\n\r\n" % len(body) + body)
        reply = caller.response()
        assert "transfer-encoding" not in reply.headers
        assert reply.body.startswith(b"data: {")
        assert events(reply.body)[-1] == "[DONE]"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("extension", [b"", b";name=value"])
def test_a_chunked_body_is_read_however_it_is_cut(gateway: Worker, size: int, extension: bytes) -> None:
    parts = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    framed = b"".join(b"%X%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    with calling(gateway.port) as caller:
        caller.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + framed + b"0\r\ntrailer: x\r\n\r\n" + HEALTH)
        assert caller.response().status == 200
        assert caller.response().body == b"ok\n"


def test_a_caller_that_waits_for_100_continue_is_told_to_go_on(gateway: Worker) -> None:
    head = HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    with calling(gateway.port) as caller:
        caller.send(head)
        assert caller.response().status == 100
        caller.send(BODY)
        assert caller.response().status == 200
        caller.send(head + BODY)
        assert caller.response().status == 200, "no 100 is due when the body is there already"


def test_a_caller_that_waits_for_100_continue_is_refused_without_it(gateway: Worker) -> None:
    head = HEAD.replace(b"pm-tests-everything", b"nobody")
    with calling(gateway.port) as caller:
        caller.send(head + b"expect: 100-continue\r\ncontent-length: 1000000\r\n\r\n")
        reply = caller.response()
        assert (reply.status, reply.headers["connection"]) == (401, "close")


GARBAGE = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "nothing at all": b"\x00" * 100,
    "text": b"hello there, anybody?\r\n\r\n",
    "another version": b"GET /healthz HTTP/3.7\r\nhost: x\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "space in the target": b"GET /heal thz HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nhost x\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n",
    "a control byte": b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: \x01\x00\r\n\r\n",
    "length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH,
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + HEALTH,
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nxxxxx" + HEALTH,
    "one length twice": HEAD + b"content-length: 5\r\ncontent-length: 5\r\n\r\nxxxxx" + HEALTH,
    "a list of lengths": HEAD + b"content-length: 5, 5\r\n\r\nxxxxx" + HEALTH,
    "a negative length": HEAD + b"content-length: -5\r\n\r\n" + HEALTH,
    "a signed length": HEAD + b"content-length: +5\r\n\r\nxxxxx" + HEALTH,
    "a length in hex": HEAD + b"content-length: 0x5\r\n\r\nxxxxx" + HEALTH,
    "a length beyond all": HEAD + b"content-length: 99999999999999999999999\r\n\r\n" + HEALTH,
    "chunked not last": HEAD + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + HEALTH,
    "chunked, nearly": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + HEALTH,
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"transfer-encoding: chunked\n\n0\n\n" + HEALTH,
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_not_http_or_could_be_read_in_two_ways_is_refused_and_closed(gateway: Worker, sent: bytes) -> None:
    with calling(gateway.port) as caller:
        caller.send(sent)
        reply = caller.response()
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert reply.headers["connection"] == "close"
        assert caller.at_end(), "nothing behind it may be taken for a request"


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefg\r\n", b"1 1\r\n", b"fffffffffffffffffff\r\n"])
def test_a_body_that_breaks_off_into_nonsense_is_refused_on_record(gateway: Worker, chunks: bytes) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"mod\r\n' + chunks + HEALTH)
        reply = caller.response()
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert caller.at_end()
    assert gateway.record(reply.call_id).status == 400


def test_nonsense_behind_a_request_does_not_spoil_its_answer(gateway: Worker) -> None:
    slow = request(chat("up:slow-stream", stream=True))
    for first in (GOOD, slow, request(chat("up:slow"))):
        with calling(gateway.port) as caller:
            caller.send(first)
            time.sleep(0.02)
            caller.send(b"\x00\x01 nonsense\r\n\r\n")
            reply = caller.response()
            assert reply.status in (200, 404)
            assert b"not an HTTP" not in reply.body


def test_many_requests_at_once_are_answered_up_to_a_bound_and_then_closed(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEALTH * 500)
        answered = 0
        while not caller.at_end():
            assert caller.response().body == b"ok\n"
            answered += 1
        assert 60 < answered <= 500


def refused_head(caller: Caller) -> None:
    reply = caller.response()
    assert (reply.status, reply.code) == (431, "headers_too_large")
    assert caller.at_end()


def test_one_huge_header_is_refused_and_its_sender_lives_to_read_it(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.socket.sendall(HEAD + b"x-bomb: " + b"a" * (8 << 20))
        refused_head(caller)


def test_many_headers_are_refused_beyond_the_bound(gateway: Worker) -> None:
    lines = b"".join(b"x-%d: y\r\n" % number for number in range(20_000))
    with calling(gateway.port) as caller:
        caller.socket.sendall(HEAD + lines + b"\r\n")
        refused_head(caller)
    few = b"".join(b"x-%d: y\r\n" % number for number in range(2000))
    with calling(gateway.port) as caller:
        caller.send(HEAD + few + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        assert caller.response().status == 200


def test_headers_that_drip_are_refused_beyond_the_bound(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEAD)
        for _ in range(200):
            caller.send(b"x-drip: " + b"a" * 500 + b"\r\n")
        refused_head(caller)


def test_a_later_head_on_a_connection_is_bound_like_the_first(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(GOOD)
        assert caller.response().status == 200
        caller.socket.sendall(HEAD + b"x-bomb: " + b"a" * (2 << 20))
        refused_head(caller)


def test_a_long_request_line_is_refused(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.socket.sendall(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        refused_head(caller)


@pytest.mark.parametrize(
    "sent",
    [
        request(method="GET", path="/healthz", headers={"connection": "upgrade", "upgrade": "websocket"}),
        request(method="GET", path="/healthz", headers={"connection": "upgrade, http2-settings", "upgrade": "h2c"}),
    ],
)
def test_an_upgrade_is_ignored(gateway: Worker, sent: bytes) -> None:
    with calling(gateway.port) as caller:
        caller.send(sent + b"\x81\x05hello")
        assert caller.response().status == 200
        assert caller.at_end()


def test_connect_is_refused(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")
        assert caller.response().status == 404
        assert caller.at_end()


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/models"])
def test_a_body_that_no_page_asked_for_does_not_become_the_next_request(gateway: Worker, path: str) -> None:
    smuggled = request(method="GET", path="/readyz") * 3
    with calling(gateway.port) as caller:
        caller.send(request(smuggled, path, method="GET") + request(method="GET", path="/healthz"))
        assert caller.response().status in (200, 404)
        assert caller.response().body == b"ok\n"
        caller.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            caller.receive()


def test_a_refused_body_that_is_still_coming_does_not_become_the_next_request(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(HEAD.replace(b"pm-tests", b"nobody") + b"content-length: %d\r\n\r\n" % len(HEALTH * 3))
        reply = caller.response()
        assert (reply.status, reply.headers["connection"]) == (401, "close")
        caller.send(HEALTH * 3)
        assert caller.at_end()


def test_errors_come_at_once(gateway: Worker) -> None:
    since = time.monotonic()
    with calling(gateway.port) as caller:
        caller.send(GARBAGE["text"])
        assert caller.response().status == 400
        assert caller.at_end()
    assert elapsed(since) < 5
