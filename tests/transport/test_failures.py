"""A response that is cut off, garbled or too large is an error of the right kind, and never a clean end."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pointsman.transport import Endpoint, Kind, Pool, PoolLimits, TlsContexts, TransportError
from tests.transport.conftest import Run
from tests.transport.scripted import (
    OK,
    QUICK,
    Reader,
    Script,
    Writer,
    answering,
    ask,
    assert_let_go,
    failure,
    head,
    read_request,
    reset,
    upstream,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "chunked": CHUNKED + b"5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
    "after 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
}


def cut_short(raw: bytes, *, by_reset: bool) -> Script:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(raw)
        if by_reset:
            await writer.drain()
            reset(writer)

    return script


@pytest.mark.parametrize("name", WHOLE)
def test_an_end_at_any_byte_is_an_error(name: str, run: Run) -> None:
    """Nothing: network. Part of a response: truncated. In no case a shorter body."""

    async def main() -> None:
        raw = WHOLE[name]
        for length in range(len(raw)):
            async with upstream(cut_short(raw[:length], by_reset=False)) as up:
                error = await failure(ask(up.pool))
                assert (error.kind, error.sent) == ("truncated" if length else "network", True), length
                assert up.connections == 1

    run(main())


@pytest.mark.parametrize("name", WHOLE)
def test_a_reset_at_any_byte_is_a_network_error(name: str, run: Run) -> None:
    async def main() -> None:
        raw = WHOLE[name]
        for length in range(len(raw)):
            async with upstream(cut_short(raw[:length], by_reset=True)) as up:
                error = await failure(ask(up.pool))
                assert (error.kind, error.sent) == ("network", True), length
                assert up.connections == 1

    run(main())


def test_what_arrived_before_the_end_is_handed_out_first(run: Run) -> None:
    async def main() -> None:
        async with upstream(cut_short(CHUNKED + b"5\r\nhello\r\n", by_reset=False)) as up:
            response = await up.pool.send(head(), b"", QUICK)
            await asyncio.sleep(0.02)
            assert await response.chunk() == b"hello"
            for _ in range(2):
                error = await failure(response.chunk())
                assert error.kind == "truncated"
                assert "middle of its body" in str(error)

    run(main())


GARBLED: dict[str, tuple[bytes, Kind]] = {
    "not http": (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol"),
    "no status": (b"HTTP/1.1 abc\r\n\r\n", "protocol"),
    "two lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "protocol"),
    "length and chunked": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        "protocol",
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "protocol"),
    "folded header": (b"HTTP/1.1 200 OK\r\na: b\r\n  c\r\n\r\n", "protocol"),
    "header without colon": (b"HTTP/1.1 200 OK\r\nrubbish\r\n\r\n", "protocol"),
    "switching": (b"HTTP/1.1 101 Go\r\n\r\n", "protocol"),
    "switching to something": (
        b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nxx",
        "protocol",
    ),
    "chunk size": (CHUNKED + b"zz\r\nhello\r\n", "protocol"),
    "chunk too long": (CHUNKED + b"2\r\nhello\r\n", "protocol"),
    "chunk size overflow": (CHUNKED + b"fffffffffffffffff\r\n", "protocol"),
    "header bomb, one": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "too_large"),
    "header bomb, many": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "too_large"),
    "header bomb, whole": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "too_large"),
    "status bomb": (b"HTTP/1.1 200 " + b"y" * 100_000, "too_large"),
    "1xx flood": (b"HTTP/1.1 103 Hint\r\nlink: <x>\r\n\r\n" * 4_000, "too_large"),
    "trailer bomb": (CHUNKED + b"1\r\nx\r\n0\r\nx: " + b"y" * 1_000_000, "too_large"),
    "chunk extension bomb": (CHUNKED + b"1;x=" + b"y" * 1_000_000, "too_large"),
}


@pytest.mark.parametrize("name", GARBLED)
def test_a_garbled_response_is_refused(name: str, run: Run) -> None:
    raw, kind = GARBLED[name]

    async def main() -> None:
        async with upstream(answering(raw, b"")) as up:
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == (kind, True)
            assert f"127.0.0.1:{up.port}" in str(error)

    run(main())


def test_large_headers_are_accepted_up_to_the_limit(run: Run) -> None:
    """A large body in the same packet does not count as headers."""
    raw = b"HTTP/1.1 200 OK\r\nx: %b\r\ncontent-length: 90000\r\n\r\n%b" % (b"y" * 60_000, b"z" * 90_000)

    async def main() -> None:
        async with upstream(answering(raw)) as up:
            _, body = await ask(up.pool)
            assert body == b"z" * 90_000

    run(main())


def test_a_long_stream_of_small_chunks_is_no_header_bomb(run: Run) -> None:
    """Chunk headers count only until the next body byte, also when they come by themselves."""
    pieces = [CHUNKED, *[b"5\r\n", b"hello\r\n"] * 200, b"0\r\n\r\n"]

    async def main() -> None:
        async with upstream(answering(*pieces), limits=PoolLimits(max_header_bytes=500)) as up:
            _, body = await ask(up.pool)
            assert body == b"hello" * 200

    run(main())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n",
        CHUNKED + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
    ],
)
def test_read_refuses_a_body_beyond_the_limit(raw: bytes, run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(raw), limits=PoolLimits(max_body_bytes=1000)) as up:
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("too_large", True)

    run(main())


def test_read_accepts_a_body_of_exactly_the_limit(run: Run) -> None:
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000

    async def main() -> None:
        async with upstream(answering(raw), limits=PoolLimits(max_body_bytes=1000)) as up:
            _, body = await ask(up.pool)
            assert len(body) == 1000

    run(main())


def test_a_refused_connection_was_not_sent(run: Run) -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]

        async def main() -> None:
            endpoint, _ = Endpoint.parse(f"http://127.0.0.1:{port}")
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("network", False)
            assert f"127.0.0.1:{port}" in str(error)
            assert_let_go(pool)

        run(main())


def test_a_name_that_does_not_resolve_was_not_sent(run: Run) -> None:
    async def main() -> None:
        endpoint, _ = Endpoint.parse("http://no-such-host.invalid")
        pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
        error = await failure(ask(pool))
        assert (error.kind, error.sent) == ("network", False)
        assert "no-such-host.invalid:80" in str(error)
        assert_let_go(pool)

    run(main())


def test_a_request_whose_upload_broke_off_was_not_sent(run: Run) -> None:
    """The upstream never had the whole request, so another may have it."""

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)

    async def main() -> None:
        async with upstream(script) as up:
            error = await failure(ask(up.pool, bytes(20_000_000)))
            assert (error.kind, error.sent) == ("network", False)

    run(main())


def test_the_error_shows_its_kind_and_phase() -> None:
    error = TransportError("up:443 sent no token in time", kind="timeout", sent=True)
    assert repr(error) == "TransportError('up:443 sent no token in time', kind=timeout, sent=True)"
