"""A slow reader stops the upstream, instead of filling our memory."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
import trustme

from pointsman.transport import Deadlines, Phase, PoolLimits
from tests.transport.conftest import Run
from tests.transport.scripted import QUICK, Reader, Writer, failure, head, read_request, upstream
from tests.transport.test_tls import server_context

HIGH = 64 * 1024
ONE_RECV = 256 * 1024  # the largest piece that asyncio and uvloop read at once
PIECE = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"


async def flood(reader: Reader, writer: Writer) -> None:
    """32 MB, as fast as the client takes them."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(1024):
        writer.write(PIECE)
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await reader.read()


@pytest.mark.parametrize("over_tls", [False, True])
def test_unread_body_is_bounded_and_nothing_is_lost(over_tls: bool, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        limits = PoolLimits(high_water=HIGH)
        async with contextlib.AsyncExitStack() as stack:
            if over_tls:
                authority = trustme.CA()
                authority.cert_pem.write_to_path(tmp_path / "ca.pem")
                tls = server_context(authority, "localhost")
                serving = upstream(flood, limits=limits, tls=tls, host="localhost", ca_file=str(tmp_path / "ca.pem"))
            else:
                serving = upstream(flood, limits=limits)
            up = await stack.enter_async_context(serving)
            response = await up.pool.send(head(), b"", QUICK)
            most = total = reads = 0
            while True:
                if reads < 20:
                    await asyncio.sleep(0.01)
                most = max(most, response.buffered)
                piece = await response.chunk()
                if not piece:
                    break
                total += len(piece)
                reads += 1
            assert total == 32 * 1024 * 1024
            assert HIGH <= most <= HIGH + ONE_RECV * (2 if over_tls else 1)  # TLS holds one more of them
            assert up.pool.idle == 1

    run(main())


def test_a_slow_reader_is_not_taken_for_an_idle_upstream(run: Run) -> None:
    """The idle deadline rests while the socket is not read; the total one does not."""

    async def main() -> None:
        async with upstream(flood, limits=PoolLimits(high_water=HIGH)) as up:
            limits = Deadlines(idle=0.05, total=0.5)
            response = await up.pool.send(head(), b"", limits)
            await asyncio.sleep(0.2)
            assert response.error is None
            await response.chunk()
            await asyncio.sleep(0.45)

            async def rest() -> None:
                while await response.chunk():
                    pass

            error = await failure(rest())
            assert (error.kind, error.phase) == ("timeout", Phase.total)

    run(main())


def test_an_upstream_that_falls_silent_after_a_pause_is_idle(run: Run) -> None:
    """Once the reader has caught up, the idle deadline runs again."""

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n" + b"x" * 5000)
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(high_water=1000)) as up:
            response = await up.pool.send(head(), b"", Deadlines(idle=0.05))
            await asyncio.sleep(0.15)
            assert len(await response.chunk()) == 5000
            assert (await failure(response.chunk())).phase is Phase.idle

    run(main())


@pytest.mark.parametrize("high_water", [1, 1000])
def test_small_marks_lose_nothing_either(high_water: int, run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            for _ in range(100):
                writer.write(b"x" * 1000)
                await asyncio.sleep(0)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(high_water=high_water)) as up:
            for _ in range(3):
                response = await up.pool.send(head(), b"", QUICK)
                assert await response.read() == b"x" * 100_000
            assert up.connections == 1

    run(main())
