"""Who hangs up closes the upstream connection at once and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pointsman.transport import Pool, PoolLimits
from tests.transport.conftest import Run
from tests.transport.scripted import (
    OK,
    QUICK,
    Reader,
    Script,
    Writer,
    answering,
    ask,
    failure,
    head,
    read_request,
    until,
    upstream,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def hanging(first: bytes, gone: asyncio.Event) -> Script:
    """Send the first bytes of a response, then nothing; tell when the client has closed."""

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(first)
        try:
            while await reader.read(65536):
                pass
        finally:
            gone.set()

    return script


async def sending(pool: Pool) -> None:
    await pool.send(head(), b"", QUICK)


async def chunking(pool: Pool) -> None:
    response = await pool.send(head(), b"", QUICK)
    while await response.chunk():
        pass


async def reading(pool: Pool) -> None:
    await ask(pool)


@pytest.mark.parametrize(
    ("first", "call"),
    [(b"", sending), (b"HTTP/1.1 2", sending), (CHUNKED + b"1\r\nx\r\n", chunking), (CHUNKED, reading)],
)
def test_a_cancelled_call_closes_its_connection_at_once(
    first: bytes, call: Callable[[Pool], Awaitable[None]], run: Run
) -> None:
    async def main() -> None:
        gone = asyncio.Event()
        async with upstream(hanging(first, gone)) as up:
            task = asyncio.ensure_future(call(up.pool))
            await until(lambda: up.pool.in_flight == 1 and up.connections == 1)
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert (up.pool.in_flight, up.pool.open) == (0, 0)
            async with asyncio.timeout(0.1):
                await gone.wait()

    run(main())


def test_a_cancelled_upload_closes_its_connection_at_once(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as up:
            task = asyncio.create_task(ask(up.pool, bytes(50_000_000)))
            await until(lambda: up.pool.in_flight == 1 and up.connections == 1)
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])
            assert up.pool.open == 0

    run(main())


def test_a_call_cancelled_at_any_turn_of_the_loop_leaves_nothing(run: Run) -> None:
    """Connecting, queueing, writing, waiting, reading: cancelled after 0, 1, 2, … turns."""

    async def main() -> None:
        limits = PoolLimits(max_connections=2)
        async with upstream(answering(CHUNKED, b"1\r\nx\r\n", b"0\r\n\r\n"), limits=limits) as up:
            for turns in range(40):
                tasks = [asyncio.create_task(ask(up.pool)) for _ in range(5)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[turns % 2 :]:
                    task.cancel()
                await asyncio.wait(tasks, timeout=5)
                assert (up.pool.in_flight, up.pool.waiting) == (0, 0)
                assert up.pool.open == up.pool.idle
                if turns % 4 == 0:
                    up.pool.sweep()
                    while up.pool._idle:
                        up.pool._idle[0].drop()
            assert (await ask(up.pool))[1] == b"x"

    run(main())


def test_abort_closes_now_and_may_be_repeated(run: Run) -> None:
    async def main() -> None:
        gone = asyncio.Event()
        async with upstream(hanging(CHUNKED + b"1\r\nx\r\n", gone)) as up:
            response = await up.pool.send(head(), b"", QUICK)
            response.abort()
            response.abort()
            assert up.pool.open == 0
            assert (await failure(response.chunk())).kind == "network"
            async with asyncio.timeout(0.1):
                await gone.wait()

    run(main())


def test_abort_wakes_a_reader_in_another_task(run: Run) -> None:
    async def main() -> None:
        gone = asyncio.Event()
        async with upstream(hanging(CHUNKED, gone)) as up:
            response = await up.pool.send(head(), b"", QUICK)
            reader = asyncio.create_task(failure(response.chunk()))
            await asyncio.sleep(0)
            response.abort()
            assert "aborted on our side" in str(await reader)

    run(main())


def test_abort_of_a_finished_response_leaves_its_connection_alone(run: Run) -> None:
    """It may carry another call already."""

    async def main() -> None:
        async with upstream(answering(OK)) as up:
            response, _ = await ask(up.pool)
            response.abort()
            assert up.pool.idle == 1
            await ask(up.pool)
            assert up.connections == 1

    run(main())
