"""A name with several addresses is reached by the first that answers; some addresses are never tried."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from pointsman.transport import Deadlines, Endpoint, Pool, PoolLimits, TlsContexts
from tests.transport.conftest import Run
from tests.transport.scripted import OK, Reader, Writer, answering, ask, assert_let_go, failure, upstream


class NamesLoop(asyncio.SelectorEventLoop):
    """A loop whose names resolve to what the test says."""

    addresses: tuple[str, ...] = ()

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


def run_with(addresses: tuple[str, ...], main: Coroutine[Any, Any, None]) -> None:
    def make() -> NamesLoop:
        loop = NamesLoop()
        loop.addresses = addresses
        return loop

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main)


@contextlib.contextmanager
def black_hole(address: str, port: int) -> Iterator[None]:
    """An address that never answers: the listener's queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        yield


def pool_for(url: str) -> Pool:
    return Pool(Endpoint.parse(url)[0], PoolLimits(), tls=TlsContexts())


def test_an_address_that_leads_nowhere_delays_and_does_not_fail() -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up:
            with black_hole("127.0.0.2", up.port):
                pool = pool_for(f"http://model.test:{up.port}")
                start = time.monotonic()
                assert (await ask(pool))[1] == b"ok"
                assert 0.2 <= time.monotonic() - start < 1
                assert_let_go(pool)

    run_with(("127.0.0.2", "127.0.0.1"), main())


def test_deadlines_are_watched_after_a_slow_connect() -> None:
    """The timer goes on while the only call is still connecting."""

    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as up:
            with black_hole("127.0.0.2", up.port):
                pool = pool_for(f"http://model.test:{up.port}")
                async with asyncio.timeout(2):
                    error = await failure(ask(pool, deadlines=Deadlines(first_byte=0.05)))
                assert (error.kind, error.phase) == ("timeout", "first_token")
                assert_let_go(pool)

    run_with(("127.0.0.2", "127.0.0.1"), main())


def test_an_address_that_refuses_delays_nothing() -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up:
            pool = pool_for(f"http://model.test:{up.port}")
            start = time.monotonic()
            assert (await ask(pool))[1] == b"ok"
            assert time.monotonic() - start < 0.2
            assert_let_go(pool)

    run_with(("127.0.0.2", "127.0.0.3", "127.0.0.1"), main())


def test_when_every_address_refuses_the_name_is_in_the_error() -> None:
    async def main() -> None:
        with socket.socket() as placeholder:
            placeholder.bind(("127.0.0.1", 0))
            pool = pool_for(f"http://model.test:{placeholder.getsockname()[1]}")
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("network", False)
            assert "model.test" in str(error)
            assert_let_go(pool)

    run_with(("127.0.0.1", "127.0.0.2"), main())


@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("169.254.169.254", "169.254.0.1")])
def test_a_name_for_metadata_addresses_is_refused_before_a_connection(addresses: tuple[str, ...]) -> None:
    async def main() -> None:
        pool = pool_for("http://model.test")
        error = await failure(ask(pool))
        assert (error.kind, error.sent) == ("network", False)
        assert "cloud metadata" in str(error)
        assert_let_go(pool)

    run_with(addresses, main())


def test_metadata_addresses_among_others_are_passed_over() -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up:
            pool = pool_for(f"http://model.test:{up.port}")
            assert (await ask(pool))[1] == b"ok"
            assert_let_go(pool)

    run_with(("169.254.169.254", "127.0.0.1"), main())


def test_a_host_name_that_no_resolver_takes_is_a_network_error(run: Run) -> None:
    async def main() -> None:
        pool = pool_for(f"http://{'a' * 64}.test")
        error = await failure(ask(pool))
        assert (error.kind, error.sent) == ("network", False)
        assert_let_go(pool)

    run(main())
