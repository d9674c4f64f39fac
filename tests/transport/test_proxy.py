"""Egress proxies: a tunnel for https, the absolute form for http, and no credentials in any message."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from pointsman.transport import Deadlines, Endpoint, Pool, PoolLimits, TlsContexts
from tests.transport.conftest import Run
from tests.transport.scripted import (
    OK,
    Reader,
    Upstream,
    Writer,
    answering,
    ask,
    assert_let_go,
    failure,
    read_request,
    upstream,
)
from tests.transport.test_tls import server_context

SECRET = "pa%3Ass w0rd".replace(" ", "%20")
BASIC = b"Basic " + base64.b64encode(b"user:pa:ss w0rd")


@dataclass
class TinyProxy:
    """A CONNECT proxy; `reply` replaces its answer."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    reply: bytes = b""

    async def serve(self, reader: Reader, writer: Writer) -> None:
        start = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(start)
        if self.reply:
            writer.write(self.reply)
            writer.close()
            return
        host, _, port = start.split(b" ")[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: tiny\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def tiny_proxy() -> AsyncIterator[TinyProxy]:
    proxy = TinyProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = int(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def through(proxy: TinyProxy, up: Upstream, scheme: str, ca_file: str | None = None) -> Pool:
    url = f"http://user:{SECRET}@127.0.0.1:{proxy.port}"
    endpoint, _ = Endpoint.parse(f"{scheme}://localhost:{up.port}/v1", ca_file=ca_file, proxy=url)
    return Pool(endpoint, PoolLimits(), tls=TlsContexts())


def test_https_goes_through_a_tunnel(authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def main() -> None:
        context = server_context(authority, "localhost")
        async with upstream(answering(OK), tls=context) as up, tiny_proxy() as proxy:
            pool = through(proxy, up, "https", ca_file)
            for _ in range(2):
                assert (await ask(pool, b"x" * 200_000))[1] == b"ok"
            assert len(proxy.heads) == 1
            line, *headers = proxy.heads[0].split(b"\r\n")
            assert line == b"CONNECT localhost:%d HTTP/1.1" % up.port
            assert b"proxy-authorization: " + BASIC in headers
            assert_let_go(pool)

    run(main())


def test_http_is_asked_for_in_absolute_form(run: Run) -> None:
    """The proxy of this test answers by itself."""
    seen: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(OK)

    async def main() -> None:
        async with upstream(script) as proxy:
            url = f"http://user:{SECRET}@127.0.0.1:{proxy.port}"
            endpoint, _ = Endpoint.parse("http://model.test:8000", proxy=url)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            for _ in range(2):
                assert (await ask(pool, b"hello"))[1] == b"ok"
            assert_let_go(pool)
            assert seen[0] == seen[1]
            line, authorization, *rest = seen[0].split(b"\r\n")
            assert line == b"POST http://model.test:8000/v1/x HTTP/1.1"
            assert authorization == b"proxy-authorization: " + BASIC
            assert rest == [b"host: up", b"content-length: 5", b"", b"hello"]

    run(main())


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n", "credentials"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "could not reach"),
        (b"SSH-2.0-x\r\n\r\n", "did not answer"),
        (b"HTTP/1.1 2", "did not answer"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "did not answer"),
        (b"x" * 20_000, "did not answer"),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_credentials(reply: bytes, says: str, ca_file: str, run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up, tiny_proxy() as proxy:
            proxy.reply = reply
            pool = through(proxy, up, "https", ca_file)
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("network", False)
            assert says in str(error)
            assert f"127.0.0.1:{proxy.port}" in str(error)
            assert f"localhost:{up.port}" in str(error)
            assert "w0rd" not in str(error) + repr(error) + repr(pool.endpoint)
            assert_let_go(pool)

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named(scheme: str, ca_file: str, run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK)) as up:
            async with tiny_proxy() as proxy:
                pass
            pool = through(proxy, up, scheme, ca_file)
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("network", False)
            assert f"the proxy 127.0.0.1:{proxy.port}" in str(error)
            assert "w0rd" not in str(error)
            assert_let_go(pool)

    run(main())


def test_a_proxy_that_hangs_is_bounded_by_connect(ca_file: str, run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"
            endpoint, _ = Endpoint.parse("https://localhost:1", ca_file=ca_file, proxy=url)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            error = await failure(ask(pool, deadlines=Deadlines(connect=0.05)))
            assert (error.kind, error.phase, error.sent) == ("timeout", "connect", False)
            assert_let_go(pool)

    run(main())


def test_the_certificate_is_checked_inside_the_tunnel(authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def main() -> None:
        context = server_context(authority, "example.test")
        async with upstream(answering(OK), tls=context) as up, tiny_proxy() as proxy:
            pool = through(proxy, up, "https", ca_file)
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("tls", False)
            assert_let_go(pool)

    run(main())
