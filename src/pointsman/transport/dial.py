"""Opening a connection: TCP, the proxy's tunnel, TLS. The slow path; it may await as it likes."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable

from pointsman.transport.connection import Connection
from pointsman.transport.endpoint import Endpoint, ProxyAddress, authority
from pointsman.transport.errors import TransportError
from pointsman.transport.reach import reach
from pointsman.transport.tls import tls_error

_MAX_REPLY = 16 * 1024
_SHUTDOWN_SECONDS = 1.0


async def dial(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    make: Callable[[], Connection],
) -> Connection:
    """Open one connection, ready for a request. Every failure is a TransportError with `sent=False`."""
    try:
        if endpoint.proxy is not None and context is not None:
            return await _through_tunnel(loop, endpoint, ProxyAddress.parse(endpoint.proxy), context, make)
        return await _direct(loop, endpoint, context, make)
    except ssl.SSLError as error:
        raise tls_error(endpoint, error, sent=False) from None
    except OSError as error:
        raise TransportError(_unreachable(endpoint, error), kind="network", sent=False) from None


async def _direct(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    make: Callable[[], Connection],
) -> Connection:
    """To the upstream, or to the proxy that is asked for http targets in absolute form."""
    if endpoint.proxy is None:
        sock = await reach(loop, endpoint.host, endpoint.port)
    else:
        proxy = ProxyAddress.parse(endpoint.proxy)
        sock = await reach(loop, proxy.host, proxy.port, allow_metadata=True)
    try:
        if context is None:
            _, connection = await loop.create_connection(make, sock=sock)
        else:
            _, connection = await loop.create_connection(
                make,
                sock=sock,
                ssl=context,
                server_hostname=endpoint.server_hostname or endpoint.host,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
    except BaseException:
        sock.close()
        raise
    return connection


async def _through_tunnel(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    proxy: ProxyAddress,
    context: ssl.SSLContext,
    make: Callable[[], Connection],
) -> Connection:
    sock = await reach(loop, proxy.host, proxy.port, allow_metadata=True)
    try:
        raw, tunnel = await loop.create_connection(lambda: _Tunnel(loop), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        raw.write(_connect_request(endpoint, proxy))
        _check_reply(endpoint, proxy, await tunnel.reply)
        connection = make()
        transport = await loop.start_tls(
            raw,
            connection,
            context,
            server_hostname=endpoint.server_hostname or endpoint.host,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
    except BaseException:
        raw.abort()
        raise
    if transport is None or not connection.open:
        raise ConnectionResetError("closed right after the TLS handshake")
    connection.connection_made(transport)
    return connection


class _Tunnel(asyncio.Protocol):
    """Collects the proxy's reply to CONNECT; `reply` resolves to its head."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reply: asyncio.Future[bytes] = loop.create_future()
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Look for the blank line."""
        self._seen += data
        if b"\r\n\r\n" in self._seen or len(self._seen) > _MAX_REPLY:
            self._resolve()

    def eof_received(self) -> None:
        """Give what there is: the check will find it wanting."""
        self._resolve()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give what there is: the check will find it wanting."""
        self._resolve()

    def _resolve(self) -> None:
        if not self.reply.done():
            self.reply.set_result(self._seen)


def _connect_request(endpoint: Endpoint, proxy: ProxyAddress) -> bytes:
    where = authority(endpoint.host, endpoint.port)
    return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (
        where.encode(),
        where.encode(),
        proxy_authorization(proxy),
    )


def proxy_authorization(proxy: ProxyAddress) -> bytes:
    """The `proxy-authorization` header line with its CRLF; empty without credentials."""
    if proxy.user is None:
        return b""
    return b"proxy-authorization: Basic %b\r\n" % base64.b64encode(f"{proxy.user}:{proxy.password}".encode())


def _check_reply(endpoint: Endpoint, proxy: ProxyAddress, reply: bytes) -> None:
    through = f"the proxy {authority(proxy.host, proxy.port)}"
    target = authority(endpoint.host, endpoint.port)
    head, blank, rest = reply.partition(b"\r\n\r\n")
    version, _, status = head.split(b"\r\n", 1)[0].partition(b" ")
    if not blank or rest or not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        message = f"{through} did not answer CONNECT {target} as an HTTP proxy does"
    elif status[:1] == b"2":
        return
    elif status[:3] == b"407":
        message = f"{through} wants other credentials (407) for {target}. Mend: http://user:password@host:port"
    else:
        message = f"{through} could not reach {target}: {status[:80].decode('latin-1')}"
    raise TransportError(message, kind="network", sent=False)


def _unreachable(endpoint: Endpoint, error: OSError) -> str:
    target = authority(endpoint.host, endpoint.port)
    if endpoint.proxy is not None:
        proxy = ProxyAddress.parse(endpoint.proxy)
        target = f"{target} through the proxy {authority(proxy.host, proxy.port)}"
    return f"cannot connect to {target}: {error.strerror or error}"
