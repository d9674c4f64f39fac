"""Each phase has its own deadline; none fires early, none needs a timer of its own."""

from __future__ import annotations

import asyncio
import math
import socket
import time

import pytest

from pointsman.transport import Deadlines, Endpoint, Phase, Pool, PoolLimits, TlsContexts
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
    upstream,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SHORT = 0.1
LATE = 0.4  # how much later than the deadline a busy machine may notice it; the sweeper itself adds 0.04


def dripping(*pieces: bytes, every: float, forever: bytes = b"") -> Script:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(every)
        while forever:
            writer.write(forever)
            await asyncio.sleep(every)
        await asyncio.sleep(5)

    return script


def deadlines(**phases: float) -> Deadlines:
    return Deadlines(**{"connect": 5.0, "first_byte": 5.0, "idle": 5.0, "total": 10.0, **phases})


CASES: dict[str, tuple[Script, Deadlines, Phase]] = {
    "silence": (dripping(every=0), deadlines(first_byte=SHORT), Phase.first_token),
    "headers one byte at a time": (
        dripping(*[bytes([byte]) for byte in OK], every=0.02),
        deadlines(first_byte=SHORT),
        Phase.first_token,
    ),
    "1xx without end": (
        dripping(every=0.02, forever=b"HTTP/1.1 102 P\r\n\r\n"),
        deadlines(first_byte=SHORT, idle=0.05),
        Phase.first_token,
    ),
    "headers and no body": (dripping(CHUNKED, every=0), deadlines(first_byte=SHORT), Phase.first_token),
    "silence in the body": (
        dripping(CHUNKED, b"1\r\nx\r\n", every=0),
        deadlines(idle=SHORT),
        Phase.idle,
    ),
    "a body one byte at a time": (
        dripping(CHUNKED, every=0.02, forever=b"1\r\nx\r\n"),
        deadlines(idle=0.09, total=0.25),
        Phase.total,
    ),
    "total before all others": (dripping(every=0), deadlines(total=SHORT), Phase.total),
}


@pytest.mark.parametrize("name", CASES)
def test_a_slow_upstream_fails_in_its_phase(name: str, run: Run) -> None:
    script, limits, phase = CASES[name]
    expected = min(limits.first_byte, limits.idle if phase is Phase.idle else math.inf, limits.total)

    async def main() -> None:
        async with upstream(script) as up:
            start = time.monotonic()
            error = await failure(ask(up.pool, deadlines=limits))
            took = time.monotonic() - start
            assert (error.kind, error.phase, error.sent) == ("timeout", phase, True)
            assert expected - 0.005 <= took <= expected + LATE

    run(main())


def test_a_connect_that_hangs_fails_in_its_phase(run: Run) -> None:
    """A listener whose queue is full does not answer SYN, as a firewalled host does not."""

    async def main() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            endpoint, _ = Endpoint.parse(f"http://127.0.0.1:{address[1]}")
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            error = await failure(ask(pool, deadlines=deadlines(connect=SHORT)))
            assert (error.kind, error.phase, error.sent) == ("timeout", Phase.connect, False)
            error = await failure(ask(pool, deadlines=deadlines(total=SHORT)))
            assert (error.kind, error.phase, error.sent) == ("timeout", Phase.total, False)
            assert_let_go(pool)
            for filler in fillers:
                filler.close()

    run(main())


def test_an_upstream_that_does_not_take_the_request_fails_in_write(run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined] # typed as WriteTransport, is both
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as up:
            error = await failure(ask(up.pool, bytes(50_000_000), deadlines(idle=SHORT)))
            assert (error.kind, error.phase, error.sent) == ("timeout", Phase.write, False)

    run(main())


def test_a_slow_upload_that_moves_on_does_not_time_out(run: Run) -> None:
    """The write deadline is per step, not for the whole body."""

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        for pause in range(1, 5):  # each well within the step's time, all together well beyond it
            while got < pause * 7_000_000:
                got += len(await reader.read(2_000_000))
            await asyncio.sleep(0.45)
        while got < 30_000_000:
            got += len(await reader.read(2_000_000))
        writer.write(OK)

    async def main() -> None:
        async with upstream(script) as up:
            start = time.monotonic()
            _, body = await ask(up.pool, bytes(30_000_000), deadlines(idle=1.5))
            assert body == b"ok"
            assert time.monotonic() - start > 1.5

    run(main())


def test_pings_do_not_extend_an_expected_first_token(run: Run) -> None:
    """The reader looks for a token in the pieces; until it says so, bytes are not progress."""

    async def main() -> None:
        async with upstream(dripping(CHUNKED, every=0.02, forever=b"1\r\n:\r\n")) as up:
            response = await up.pool.send(head(), b"", deadlines(idle=0.06))
            start = asyncio.get_running_loop().time()
            response.expect_by(start + 0.2, Phase.first_token)

            async def read_on() -> None:
                while True:
                    await response.chunk()

            error = await failure(read_on())
            assert (error.kind, error.phase) == ("timeout", Phase.first_token)
            assert asyncio.get_running_loop().time() - start >= 0.195

    run(main())


@pytest.mark.parametrize("lifted", [False, True])
def test_an_expectation_may_be_replaced(lifted: bool, run: Run) -> None:
    """Extended beyond idle and first_byte, then handed back to the idle rule."""

    async def main() -> None:
        script = dripping(CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n", every=0.25)
        async with upstream(script) as up:
            response = await up.pool.send(head(), b"", deadlines(first_byte=0.1, idle=0.1))
            now = asyncio.get_running_loop().time()
            response.expect_by(math.inf if lifted else now + 2, Phase.first_token)
            assert await response.chunk() == b"a"
            response.expect_by(asyncio.get_running_loop().time() + 0.1, Phase.idle)
            error = await failure(response.chunk())
            assert error.phase is Phase.idle
            response.expect_by(now, Phase.first_token)  # finished: without effect

    run(main())


def test_idle_goes_on_moving_after_it_was_asked_for(run: Run) -> None:
    """With Phase.idle every piece moves the deadline on by Deadlines.idle."""

    async def main() -> None:
        pieces = [CHUNKED, *[b"1\r\nx\r\n"] * 6, b"0\r\n\r\n"]
        async with upstream(dripping(*pieces, every=0.06)) as up:
            response = await up.pool.send(head(), b"", deadlines(idle=0.2))
            response.expect_by(asyncio.get_running_loop().time() + 0.2, Phase.idle)
            assert await response.read() == b"xxxxxx"

    run(main())


def test_the_timer_stops_when_nothing_is_in_flight(run: Run) -> None:
    """One look later the timer is set for the end of the kept connection, and for nothing without one."""

    async def main() -> None:
        async with upstream(answering(OK)) as up:
            await ask(up.pool)
            await asyncio.sleep(0.06)
            timer = up.pool._timer
            assert timer is not None
            assert timer.when() - asyncio.get_running_loop().time() > 20
            await ask(up.pool)  # and runs again for the next call
            error_free = up.pool._timer
            assert error_free is not None
            assert error_free.when() - asyncio.get_running_loop().time() < 0.06
            up.pool.close()
            assert up.pool._timer is None

    run(main())


def test_deadlines_that_are_long_cost_nothing(run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up:
            await ask(
                up.pool, deadlines=Deadlines(connect=math.inf, first_byte=math.inf, idle=math.inf, total=math.inf)
            )
            await ask(up.pool, deadlines=QUICK)

    run(main())
