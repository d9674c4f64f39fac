"""Requests go out whole; responses come in the same however the network cuts them."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.transport import PoolLimits, Response
from tests.transport.conftest import Run
from tests.transport.scripted import (
    OK,
    QUICK,
    Reader,
    Writer,
    answering,
    ask,
    head,
    read_request,
    until,
    upstream,
)


@dataclass
class Case:
    raw: bytes
    body: bytes
    status: int = 200
    reused: bool = True
    ends_by_closing: bool = False


CASES = {
    "length": Case(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunked": Case(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
        b"hello world",
    ),
    "trailers": Case(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
        b"ok",
    ),
    "continue": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\ncontent-length: 2\r\n\r\nok", b"ok", status=201
    ),
    "early hints": Case(
        b"HTTP/1.1 103 Early\r\nlink: </x>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK,
        b"ok",
    ),
    "until close": Case(b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", reused=False, ends_by_closing=True),
    "until close, coded": Case(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nzzz", b"zzz", reused=False, ends_by_closing=True
    ),
    "told to close": Case(
        b"HTTP/1.1 429 Slow\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno", b"no", 429, reused=False
    ),
    "http 1.0": Case(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", reused=False),
    "http 1.0 kept": Case(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", b"ok"),
    "no content": Case(b"HTTP/1.1 204 No Content\r\n\r\n", b"", status=204),
    "not modified": Case(b"HTTP/1.1 304 Same\r\ncontent-length: 999999999\r\n\r\n", b"", status=304),
    "empty": Case(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    "extra bytes": Case(OK + b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n", b"ok", reused=False),
    "extra rubbish": Case(OK + b"rubbish", b"ok", reused=False),
}


async def check(case: Case, pieces: list[bytes]) -> None:
    """Twice, because what one response leaves behind on a connection would be seen in the next."""
    async with upstream(answering(*pieces, then_close=case.ends_by_closing)) as up:
        seen = []
        for _ in range(2):
            response, body = await ask(up.pool)
            assert (response.status, body) == (case.status, case.body)
            assert {b"x", b"x-sum", b"link"}.isdisjoint(dict(response.headers))
            assert await response.chunk() == b""
            seen.append(response.headers)
            if not case.reused:
                await until(lambda: up.pool.idle == 0)  # bytes nobody asked for may come a little later
        assert seen[0] == seen[1]
        if case.reused:
            assert (up.pool.idle, up.connections) == (1, 1)


@pytest.mark.parametrize("name", CASES)
def test_a_response_in_one_packet_is_read_whole(name: str, run: Run) -> None:
    async def main() -> None:
        await check(CASES[name], [CASES[name].raw])

    run(main())


@pytest.mark.parametrize("name", CASES)
def test_a_response_one_byte_at_a_time_is_the_same(name: str, run: Run) -> None:
    async def main() -> None:
        await check(CASES[name], [bytes([byte]) for byte in CASES[name].raw])

    run(main())


@pytest.mark.parametrize("name", CASES)
def test_a_response_cut_anywhere_is_the_same(name: str) -> None:
    """Two pieces, cut at every byte."""
    raw = CASES[name].raw

    async def main() -> None:
        for cut in range(1, len(raw)):
            await check(CASES[name], [raw[:cut], raw[cut:]])

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CASES)), cuts=st.sets(st.integers(1, 200), max_size=12))
def test_a_response_cut_at_random_is_the_same(name: str, cuts: set[int]) -> None:
    raw = CASES[name].raw
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]
    asyncio.run(check(CASES[name], pieces))


def test_a_response_that_must_not_be_reused_closes_its_connection(run: Run) -> None:
    async def main() -> None:
        for name in [name for name, case in CASES.items() if not case.reused]:
            async with upstream(answering(CASES[name].raw, then_close=CASES[name].ends_by_closing)) as up:
                await ask(up.pool)
                assert up.pool.idle == 0, name

    run(main())


def test_names_are_lowered_and_values_trimmed(run: Run) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nX-One:  a b \t\r\nX-EMPTY:\r\nSet-Cookie: 1\r\nset-cookie: 2\r\nContent-Length: 0\r\n\r\n"
    )

    async def main() -> None:
        async with upstream(answering(raw)) as up:
            response, _ = await ask(up.pool)
            assert response.headers == [
                (b"x-one", b"a b"),
                (b"x-empty", b""),
                (b"set-cookie", b"1"),
                (b"set-cookie", b"2"),
                (b"content-length", b"0"),
            ]
            assert response.header(b"set-cookie") == b"1"
            assert response.header(b"absent") is None

    run(main())


def test_a_small_response_is_ready_with_its_headers() -> None:
    """A body that came with the headers is read without another turn of the loop."""

    async def main() -> None:
        async with upstream(answering(OK)) as up:
            response = await up.pool.send(head(), b"", QUICK)
            assert up.pool.in_flight == 0
            reading = response.read()
            with pytest.raises(StopIteration) as stop:
                reading.send(None)
            assert stop.value.value == b"ok"

    asyncio.run(main())


def test_chunks_are_coalesced_when_the_reader_comes_late(run: Run) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 5, b"0\r\n\r\n"]

    async def main() -> None:
        async with upstream(answering(*pieces)) as up:
            response = await up.pool.send(head(), b"", QUICK)
            await asyncio.sleep(0.05)
            assert await response.chunk() == b"xxxxx"
            assert await response.chunk() == b""

    run(main())


def test_each_chunk_is_handed_on_as_it_arrives(run: Run) -> None:
    """The server sends the next piece only after the client had the last one."""
    had = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"a", b"b", b"c"):
            writer.write(b"1\r\n%b\r\n" % piece)
            await had.wait()
            had.clear()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up:
            response = await up.pool.send(head(), b"", QUICK)
            for piece in (b"a", b"b", b"c"):
                assert await response.chunk() == piece
                had.set()
            assert await response.chunk() == b""

    run(main())


@pytest.mark.parametrize("parts", [1, 3])
def test_a_request_of_ten_megabytes_arrives_whole(parts: int, run: Run) -> None:
    piece = bytes(range(256)) * (40960 // parts)
    seen: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(OK)

    async def main() -> None:
        async with upstream(script) as up:
            start = head(len(piece) * parts)
            for _ in range(2):
                response: Response = await up.pool.send(start, [piece] * parts, QUICK)
                assert await response.read() == b"ok"
            assert seen == [start + piece * parts] * 2
            assert up.connections == 1

    run(main())


@pytest.mark.parametrize("body_comes_with_headers", [True, False])
def test_an_answer_before_the_whole_request_was_taken_is_delivered(body_comes_with_headers: bool, run: Run) -> None:
    """413 for a large body: the upload stops, the answer counts, the connection is not used again."""
    told = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n")
        if not body_comes_with_headers:
            await told.wait()
        writer.write(b"no")
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as up:
            response = await up.pool.send(head(20_000_000), bytes(20_000_000), QUICK)
            told.set()
            assert (response.status, await response.read()) == (413, b"no")
            assert up.pool.open == 0

    run(main())


def test_two_readers_of_one_response_are_refused(run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")) as up:
            response = await up.pool.send(head(), b"", QUICK)
            first = asyncio.create_task(response.chunk())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="one task"):
                await response.chunk()
            first.cancel()
            await asyncio.wait([first])

    run(main())


@pytest.mark.parametrize("wrong", [{"max_connections": 0}, {"max_idle": -1}, {"max_waiting": -1}, {"high_water": 0}])
def test_limits_that_serve_no_call_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        PoolLimits(**wrong)
