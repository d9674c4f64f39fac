"""Nothing of a finished call stays in memory, and it goes without the collector's help."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from pointsman.transport import Deadlines, Response, TransportError
from pointsman.transport.connection import Connection
from tests.transport.conftest import Run
from tests.transport.scripted import OK, Reader, Script, Writer, answering, head, read_request, reset, upstream

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def resetting(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(CHUNKED + b"1\r\nx\r\n")
    await writer.drain()
    reset(writer)


SCRIPTS: dict[str, Script] = {
    "unary": answering(OK),
    "stream": answering(CHUNKED, b"1\r\nx\r\n", b"0\r\n\r\n"),
    "one use": answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
    "no answer": answering(then_close=True),
    "cut off": answering(CHUNKED, b"1\r\nx\r\n", then_close=True),
    "garbled": answering(b"nonsense\r\n\r\n"),
    "reset": resetting,
    "silent": answering(CHUNKED, b"1\r\nx\r\n"),
}


def alive() -> list[object]:
    """Connections and responses that somebody still holds."""
    return [thing for thing in gc.get_objects() if isinstance(thing, Connection | Response)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_finished_calls_leave_no_connection_and_no_response(name: str, run: Run) -> None:
    async def main() -> None:
        async with upstream(SCRIPTS[name]) as up:

            async def call() -> None:
                try:
                    response = await up.pool.send(head(), b"", Deadlines(idle=0.02))
                    await response.read()
                except TransportError:
                    pass  # which one is the matter of other tests

            for _ in range(4):
                await asyncio.gather(*[call() for _ in range(5)])
            await asyncio.sleep(0.02)
            kept = up.pool.idle
            assert len(alive()) <= kept
            up.pool.close()
            await asyncio.sleep(0.02)
            assert alive() == []

    run(main())
