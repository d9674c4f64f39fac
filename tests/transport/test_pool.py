"""Connections are kept, limited, queued for and let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pointsman.transport import Deadlines, Phase, PoolLimits
from pointsman.transport import pool as pool_module
from pointsman.transport.connection import Connection
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
    reset,
    until,
    upstream,
)


def naming() -> Script:
    """Answer with the number of the connection; `/hold` waits for the next request's event first."""
    count = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal count
        count += 1
        name = str(count).encode()
        while True:
            await read_request(reader)
            await asyncio.sleep(0.02)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name))

    return script


def test_the_connection_used_last_is_used_first(run: Run) -> None:
    async def main() -> None:
        async with upstream(naming()) as up:
            bodies = [body for _, body in await asyncio.gather(*[ask(up.pool) for _ in range(3)])]
            assert sorted(bodies) == [b"1", b"2", b"3"]
            _, last = await ask(up.pool)
            for _ in range(3):
                assert (await ask(up.pool))[1] == last
            assert up.pool.idle == 3

    run(main())


def test_no_more_connections_than_allowed_and_the_queue_is_fair(run: Run) -> None:
    """Twelve calls over two connections finish in the order in which they came."""
    finished: list[int] = []

    async def main() -> None:
        async with upstream(naming(), limits=PoolLimits(max_connections=2)) as up:

            async def call(number: int) -> None:
                await ask(up.pool)
                finished.append(number)

            async with asyncio.TaskGroup() as group:
                for number in range(12):
                    group.create_task(call(number))
                await asyncio.sleep(0.005)
                assert (up.pool.in_flight, up.pool.waiting) == (2, 10)
            assert [number // 2 for number in finished] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
            assert up.connections == 2

    run(main())


def test_the_queue_is_bounded_in_count(run: Run) -> None:
    async def main() -> None:
        limits = PoolLimits(max_connections=1, max_waiting=1)
        async with upstream(naming(), limits=limits) as up:
            calls = [asyncio.create_task(ask(up.pool)) for _ in range(2)]
            await asyncio.sleep(0)
            error = await failure(ask(up.pool))
            assert (error.kind, error.phase, error.sent) == ("pool_exhausted", None, False)
            await asyncio.gather(*calls)

    run(main())


def test_the_queue_is_bounded_in_time(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(max_connections=1)) as up:
            hung = asyncio.create_task(ask(up.pool))
            await asyncio.sleep(0.01)
            error = await failure(ask(up.pool, deadlines=Deadlines(connect=0.05)))
            assert (error.kind, error.phase, error.sent) == ("pool_exhausted", Phase.connect, False)
            hung.cancel()
            await asyncio.wait([hung])

    run(main())


def test_a_place_that_comes_free_by_failure_goes_to_the_queue(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await asyncio.sleep(0.01)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(max_connections=1)) as up:
            errors = await asyncio.gather(*[failure(ask(up.pool)) for _ in range(4)])
            assert {error.kind for error in errors} == {"network"}
            assert up.connections == 4

    run(main())


@pytest.mark.parametrize("by_reset", [False, True])
def test_a_kept_connection_that_was_closed_is_replaced_once_unseen(by_reset: bool, run: Run) -> None:
    """The upstream closes as the second request arrives: it goes out again on a new connection."""
    seen: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)
        await read_request(reader)
        if by_reset:
            reset(writer)

    async def main() -> None:
        async with upstream(script) as up:
            for _ in range(3):
                assert (await ask(up.pool, b"hello"))[1] == b"ok"
            assert up.connections == 3
            assert seen == [head(5) + b"hello"] * 3

    run(main())


def test_the_replacement_is_a_new_connection_when_all_kept_ones_are_stale(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await asyncio.sleep(0.01)
        writer.write(OK)
        await read_request(reader)

    async def main() -> None:
        async with upstream(script) as up:
            await asyncio.gather(*[ask(up.pool) for _ in range(3)])
            assert up.pool.idle == 3
            await ask(up.pool)
            assert up.connections == 4

    run(main())


def test_a_replacement_takes_the_place_of_a_kept_connection_when_the_pool_is_full(run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK), limits=PoolLimits(max_connections=1)) as up:
            await ask(up.pool)
            kept = up.pool._idle[0]
            now = asyncio.get_running_loop().time()
            replacement = await up.pool._acquire(QUICK, now + 1, fresh=True)
            assert replacement is not kept
            assert not kept.open
            up.pool.release(replacement)
            assert up.pool.open == 1

    run(main())


def test_a_connection_that_closes_on_its_way_to_a_waiting_call_is_replaced(run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK), limits=PoolLimits(max_connections=1)) as up:
            held = await up.pool._acquire(QUICK, asyncio.get_running_loop().time() + 1)
            call = asyncio.create_task(ask(up.pool))
            await until(lambda: up.pool.waiting == 1)
            up.pool.release(held)
            held.drop()
            assert (await call)[1] == b"ok"

    run(main())


def test_a_call_that_gives_up_waiting_leaves_the_queue(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(max_connections=1)) as up:
            calls = [asyncio.create_task(ask(up.pool)) for _ in range(3)]
            await until(lambda: up.pool.waiting == 2)
            calls[1].cancel()
            await asyncio.wait([calls[1]])
            assert up.pool.waiting == 1
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)

    run(main())


def test_an_upstream_that_hangs_up_before_the_request_was_not_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed between the handshake and our first byte: the place is free again, the request may go elsewhere."""

    async def dial(_loop: object, _endpoint: object, _context: object, make: Callable[[], Connection]) -> Connection:
        connection = make()
        connection.drop()
        return connection

    async def main() -> None:
        async with upstream(answering(OK)) as up:
            monkeypatch.setattr(pool_module, "dial", dial)
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("network", False)
            assert up.pool.open == 0

    run(main())


def test_a_new_connection_that_closes_without_an_answer_is_not_tried_again(run: Run) -> None:
    """The request may have been processed: whoever sent it decides."""

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)

    async def main() -> None:
        async with upstream(script) as up:
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("network", True)
            assert up.connections == 1

    run(main())


def test_a_kept_connection_that_fails_after_one_byte_is_not_tried_again(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.write(b"H")

    async def main() -> None:
        async with upstream(script) as up:
            await ask(up.pool)
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("truncated", True)
            assert up.connections == 1

    run(main())


def test_a_replacement_that_fails_is_the_error(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        if up_connections() == 1:
            writer.write(OK)
            await read_request(reader)

    def up_connections() -> int:
        return counts[0]

    counts = [0]

    async def counted(reader: Reader, writer: Writer) -> None:
        counts[0] += 1
        await script(reader, writer)

    async def main() -> None:
        async with upstream(counted) as up:
            await ask(up.pool)
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("network", True)
            assert up.connections == 2

    run(main())


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Timeout\r\nconnection: close\r\n\r\n", b"x", b""])
def test_a_kept_connection_that_speaks_or_closes_is_dropped(unasked: bytes, run: Run) -> None:
    """A response nobody asked for must not become the answer of the next call."""

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(unasked)
        if unasked:
            await reader.read()

    async def main() -> None:
        async with upstream(script) as up:
            await ask(up.pool)
            assert up.pool.idle == 1
            await until(lambda: up.pool.idle == 0)
            assert (await ask(up.pool))[1] == b"ok"
            assert up.connections == 2

    run(main())


def test_an_unused_connection_is_closed_in_time_by_itself(run: Run) -> None:
    gone = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(OK)
        await reader.read()
        gone.set()

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(idle_seconds=0.1)) as up:
            await ask(up.pool)
            assert up.pool.idle == 1
            async with asyncio.timeout(1):
                await gone.wait()
            assert (up.pool.idle, up.pool.open) == (0, 0)

    run(main())


def test_a_connection_that_is_too_old_is_not_used_even_before_the_timer_sees_it(run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK), limits=PoolLimits(idle_seconds=0)) as up:
            await ask(up.pool)
            await ask(up.pool)
            assert up.connections == 2

    run(main())


@pytest.mark.parametrize(
    ("hint", "kept_for"), [(b"timeout=5, max=100", 4.0), (b"max=1, Timeout=1", 0.5), (b"timeout=x", 30.0)]
)
def test_the_upstream_may_ask_for_a_shorter_life(hint: bytes, kept_for: float, run: Run) -> None:
    raw = b"HTTP/1.1 200 OK\r\nkeep-alive: %b\r\ncontent-length: 2\r\n\r\nok" % hint

    async def main() -> None:
        async with upstream(answering(raw)) as up:
            await ask(up.pool)
            left = up.pool._idle[0].keep_until - asyncio.get_running_loop().time()
            assert kept_for - 0.5 < left <= kept_for

    run(main())


def test_no_more_connections_are_kept_than_allowed(run: Run) -> None:
    async def main() -> None:
        async with upstream(naming(), limits=PoolLimits(max_idle=2)) as up:
            await asyncio.gather(*[ask(up.pool) for _ in range(5)])
            assert (up.pool.idle, up.pool.open) == (2, 2)

    run(main())


def test_a_closed_pool_drains_and_still_serves_what_is_in_flight(run: Run) -> None:
    async def main() -> None:
        async with upstream(naming()) as up:
            await ask(up.pool)
            call = asyncio.create_task(ask(up.pool))
            await asyncio.sleep(0.005)
            up.pool.close()
            up.pool.close()
            assert (await call)[1] == b"1"
            assert up.pool.open == 0
            assert (await ask(up.pool))[1] == b"2"  # a retry of a call that began before
            assert up.pool.open == 0

    run(main())


def test_an_aborted_pool_fails_everything_now(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script, limits=PoolLimits(max_connections=1)) as up:
            calls = [asyncio.create_task(failure(ask(up.pool))) for _ in range(3)]
            await until(lambda: up.pool.in_flight == 1 and up.pool.waiting == 2 and up.connections == 1)
            await asyncio.sleep(0.01)
            up.pool.abort()
            kinds = [error.kind for error in await asyncio.gather(*calls)]
            assert kinds.count("network") == 1
            assert kinds.count("pool_exhausted") == 2

    run(main())
