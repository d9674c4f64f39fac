"""Who cannot prove its name gets no request; the message says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from pointsman.transport import Endpoint, Pool, PoolLimits, TlsContexts, TransportError
from tests.transport.conftest import Run
from tests.transport.scripted import (
    OK,
    QUICK,
    Reader,
    Writer,
    answering,
    ask,
    assert_let_go,
    failure,
    head,
    read_request,
    upstream,
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_trusted_upstream_is_called_and_kept(host: str, authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def main() -> None:
        context = server_context(authority, "localhost", "127.0.0.1")
        async with upstream(answering(OK), tls=context, host=host, ca_file=ca_file) as up:
            for _ in range(3):
                assert (await ask(up.pool, b"x" * 300_000))[1] == b"ok"
            assert up.connections == 1

    run(main())


def test_http_1_1_is_what_is_agreed_on(authority: trustme.CA, ca_file: str, run: Run) -> None:
    agreed: list[str | None] = []

    async def script(reader: Reader, writer: Writer) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await read_request(reader)
        writer.write(OK)

    async def main() -> None:
        context = server_context(authority, "localhost")
        async with upstream(script, tls=context, host="localhost", ca_file=ca_file) as up:
            await ask(up.pool)
            assert agreed == ["http/1.1"]

    run(main())


def test_an_unknown_authority_is_refused(authority: trustme.CA, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)

    async def main() -> None:
        context = server_context(authority, "localhost")
        for ca_file in (str(other), None):
            async with upstream(answering(OK), tls=context, host="localhost", ca_file=ca_file) as up:
                error = await failure(ask(up.pool))
                assert (error.kind, error.sent) == ("tls", False)
                assert f"localhost:{up.port}" in str(error)
                assert "set ca_file" in str(error)

    run(main())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(host: str, authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def main() -> None:
        context = server_context(authority, "example.test")
        async with upstream(answering(OK), tls=context, host=host, ca_file=ca_file) as up:
            error = await failure(ask(up.pool))
            assert (error.kind, error.sent) == ("tls", False)
            assert "server_hostname" in str(error)

    run(main())


def test_the_name_to_prove_can_be_given(authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def main() -> None:
        context = server_context(authority, "example.test")
        async with upstream(answering(OK), tls=context) as up:
            endpoint, _ = Endpoint.parse(
                f"https://127.0.0.1:{up.port}", ca_file=ca_file, server_hostname="example.test"
            )
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            assert (await ask(pool))[1] == b"ok"
            assert_let_go(pool)

    run(main())


def test_verification_can_be_switched_off(authority: trustme.CA, run: Run) -> None:
    async def main() -> None:
        async with upstream(answering(OK), tls=server_context(authority, "example.test")) as up:
            endpoint, _ = Endpoint.parse(f"https://127.0.0.1:{up.port}", verify=False)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            assert (await ask(pool))[1] == b"ok"
            assert_let_go(pool)

    run(main())


def test_a_port_that_does_not_speak_tls_is_named(ca_file: str, run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up:
            endpoint, _ = Endpoint.parse(f"https://127.0.0.1:{up.port}", ca_file=ca_file)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            error = await failure(ask(pool))
            assert (error.kind, error.sent) == ("tls", False)
            assert "https, not http" in str(error)
            assert_let_go(pool)

    run(main())


def refuse_without_certificate(listener: socket.socket, context: ssl.SSLContext) -> None:
    """A blocking server: asyncio's own closes before its alert is out."""
    raw, _ = listener.accept()
    raw.settimeout(5)
    with raw.dup() as plain:
        plain.settimeout(5)
        with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as server:
            with contextlib.suppress(ssl.SSLError):
                server.do_handshake()
            with contextlib.suppress(ConnectionError):
                while plain.recv(4096):
                    pass  # closing with unread bytes would be a reset, which may overtake the alert


def test_an_upstream_that_wants_a_client_certificate_is_a_tls_error(
    authority: trustme.CA, ca_file: str, run: Run
) -> None:
    """With TLS 1.3 its alert comes after our handshake is done, in place of an answer."""
    context = server_context(authority, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(asyncio.to_thread(refuse_without_certificate, listener, context))
            port = listener.getsockname()[1]
            endpoint, _ = Endpoint.parse(f"https://localhost:{port}", ca_file=ca_file)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            error = await failure(ask(pool))
            assert error.kind == "tls", error
            assert "client certificate" in str(error)
            assert_let_go(pool)
            await serving

    run(main())


def test_a_handshake_that_hangs_is_bounded_by_connect(ca_file: str, run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up:
            endpoint, _ = Endpoint.parse(f"https://127.0.0.1:{up.port}", ca_file=ca_file)
            pool = Pool(endpoint, PoolLimits(), tls=TlsContexts())
            limits = QUICK.__class__(connect=0.05)
            error = await failure(ask(pool, deadlines=limits))
            assert (error.kind, error.phase, error.sent) == ("timeout", "connect", False)
            assert_let_go(pool)

    run(main())


def test_a_stream_over_tls_is_cut_off_without_a_clean_end(authority: trustme.CA, ca_file: str, run: Run) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.transport.abort()

    async def main() -> None:
        context = server_context(authority, "localhost")
        async with upstream(script, tls=context, host="localhost", ca_file=ca_file) as up:
            response = await up.pool.send(head(), b"", QUICK)
            assert await response.chunk() == b"hello"
            assert (await failure(response.chunk())).kind in {"truncated", "network"}

    run(main())


def test_one_context_serves_every_endpoint_with_the_same_trust(ca_file: str) -> None:
    contexts = TlsContexts()
    one, _ = Endpoint.parse("https://one.test", ca_file=ca_file)
    two, _ = Endpoint.parse("https://two.test", ca_file=ca_file)
    lax, _ = Endpoint.parse("https://two.test", ca_file=ca_file, verify=False)
    assert contexts.context(one) is contexts.context(two)
    assert contexts.context(one) is not contexts.context(lax)
    assert contexts.context(one).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_refused_when_the_pool_is_made(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    endpoint, _ = Endpoint.parse("https://one.test", ca_file=str(path))
    with pytest.raises(TransportError, match="CA file") as raised:
        Pool(endpoint, PoolLimits(), tls=TlsContexts())
    assert raised.value.kind == "tls"
