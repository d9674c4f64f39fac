"""Servers that write exactly the bytes a test tells them to, and the pool that calls them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from pointsman.transport import Deadlines, Endpoint, Pool, PoolLimits, Response, TlsContexts, TransportError

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Script = Callable[[Reader, Writer], Awaitable[None]]

QUICK = Deadlines(connect=5, first_byte=5, idle=5, total=10)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Upstream:
    """A running scripted server, what it has seen, and a pool that points at it."""

    port: int
    pool: Pool
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


def head(length: int = 0, path: bytes = b"/v1/x") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: up\r\ncontent-length: %d\r\n\r\n" % (path, length)


async def read_request(reader: Reader) -> bytes:
    """One whole request, head and body; IncompleteReadError when the client closes instead."""
    start = await reader.readuntil(b"\r\n\r\n")
    length = int(start.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
    return start + await reader.readexactly(length)


def answering(*pieces: bytes, then_close: bool = False) -> Script:
    """Answer every request with these pieces, each in its own turn of the loop."""

    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if then_close:
                return

    return script


def reset(writer: Writer) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: on, 0 seconds
    writer.transport.abort()


@contextlib.asynccontextmanager
async def upstream(
    script: Script,
    *,
    limits: PoolLimits | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    ca_file: str | None = None,
    proxy: str | None = None,
) -> AsyncIterator[Upstream]:
    """Serve `script` on a free port; on leaving, check that the pool has let go of everything."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        up.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client hung up, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = int(server.sockets[0].getsockname()[1])
    scheme = "https" if tls else "http"
    endpoint, _ = Endpoint.parse(f"{scheme}://{host}:{port}", ca_file=ca_file, proxy=proxy)
    up = Upstream(port, Pool(endpoint, limits or PoolLimits(), tls=TlsContexts()))
    try:
        yield up
        assert_let_go(up.pool)
    finally:
        up.pool.abort()
        for task in tasks:
            task.cancel()
        server.close()
        await asyncio.sleep(0.001)


def assert_let_go(pool: Pool) -> None:
    assert (pool.in_flight, pool.waiting) == (0, 0)
    pool.close()
    assert (pool.idle, pool.open) == (0, 0)


async def ask(pool: Pool, body: bytes = b"", deadlines: Deadlines = QUICK) -> tuple[Response, bytes]:
    response = await pool.send(head(len(body)), body, deadlines)
    return response, await response.read()


async def failure(awaitable: Awaitable[object]) -> TransportError:
    """The TransportError that must come."""
    try:
        got = await awaitable
    except TransportError as error:
        return error
    raise AssertionError(f"no error, but {got!r}")


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition that another task brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event of its own
            await asyncio.sleep(0.001)
