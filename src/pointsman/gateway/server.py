"""The HTTP/1.1 server of a worker: an ASGI protocol for uvicorn, lean and with bounds on what a caller may send.

Why not uvicorn's own: docs/decisions/0007-own-server-protocol.md. Writes are gathered until the loop has run everything
that was ready. A write wakes its reader, and a wake-up costs more than composing the answer did: written one right
after the other, the first write wakes the reader and the rest find it awake.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import struct
import termios
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import httptools

from pointsman.core.errors import GatewayError
from pointsman.dialects.openai_errors import error_body
from pointsman.gateway.asgi import Scope
from pointsman.gateway.exchange import STATUS_LINES, Exchange

LOG = logging.getLogger("pointsman.gateway")

MAX_HEADER_BYTES = 64 << 10
"""Request line and headers of one request."""

HEADER_SECONDS = 20.0
"""How long a connection may take to send its first complete head."""

KEEP_ALIVE_SECONDS = 75.0
"""How long a connection without a request is kept."""

LINGER_SECONDS = 20.0
"""How long a caller may go on sending what nobody will read, so that it lives to read the answer that came early."""

STUCK_SECONDS = 60.0
"""How long a caller may take nothing of what was sent to it."""

MAX_PIPELINED = 64
"""Requests that may wait on one connection."""

_WRITE_HIGH_WATER = 256 << 10


class HttpProtocol(asyncio.Protocol):
    """One caller's connection. Uvicorn makes it, counts it and asks it to shut down.

    `before_write` is called before anything goes to the socket: what must be on record by then is written there.
    """

    before_write: Callable[[], None] = staticmethod(lambda: None)

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.drained: asyncio.Future[None] | None = None
        self.idle_since = self.loop.time()
        self._app = config.loaded_app
        self._state = server_state
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._exchange: Exchange | None = None
        self._receiving: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = False
        self._paused = False
        self._in_head = True
        self._head_bytes = 0
        self._deaf = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._untaken = 0
        self._untaken_since = 0.0
        self._client: tuple[str, int] | None = None

    # -- the event loop's calls -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected: its first head is due."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        self._state.connections.add(self)
        peer = transport.get_extra_info("peername")
        self._client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._timer = self.loop.call_later(HEADER_SECONDS, self._head_overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._closing = True
        self._state.connections.discard(self)
        self._stop_timer()
        self.resume_writing()
        self._transport = None
        for exchange in (self._exchange, self._receiving, *self._waiting):
            if exchange is not None:
                exchange.hung_up()
        self._exchange = self._receiving = None
        self._waiting.clear()
        # The parser holds this object and this object the parser: a ring that only the collector would find.
        del self._parser

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller; the parser calls back as soon as it knows more."""
        if self._deaf or self._closing:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES and not self._ends_head(data):
                self.refuse("headers_too_large", f"The request's head is longer than {MAX_HEADER_BYTES} bytes.")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing here upgrades; the request itself is served as what it is.
            self._stop_listening()
        except httptools.HttpParserError as error:
            self.refuse("invalid_request", f"This is not an HTTP/1.1 request: {error}.")

    def eof_received(self) -> None:
        """The caller will send no more: with a call in flight, it has hung up."""

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        if self.drained is None:
            self.drained = self.loop.create_future()

    def resume_writing(self) -> None:
        """The caller has caught up, or is gone."""
        drained, self.drained = self.drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self._exchange is None and self._waiting and not self._closing:
            self._begin(self._waiting.popleft())

    def shutdown(self) -> None:
        """Uvicorn stops: finish the exchange in flight, take no other."""
        if self._exchange is None:
            self.close()
        else:
            self._exchange.keep_alive = False

    # -- the parser's calls ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        self._url = b""
        self._headers = []
        self._expects_continue = False
        if not self._in_head:
            self._in_head = True
            self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Those behind a body (trailers) are counted and passed over: what was read must not change."""
        if not self._in_head:
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > MAX_HEADER_BYTES:
                self.refuse("headers_too_large", f"The trailers are longer than {MAX_HEADER_BYTES} bytes.")
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete: its exchange begins, or waits for the one before it."""
        self._in_head = False
        self._head_bytes = 0
        if self._timer is not None:
            self._stop_timer()
        parser = self._parser
        path, _, query = self._url.partition(b"?")
        version = parser.get_http_version()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._client,
        }
        exchange = Exchange(self, scope, keep_alive=version == "1.1" and parser.should_keep_alive())
        scope["pointsman.exchange"] = exchange
        if self._deaf:
            return
        if self._exchange is None:
            self._begin(exchange)
        elif len(self._waiting) < MAX_PIPELINED:
            self._waiting.append(exchange)
        else:
            self._stop_listening()
            return
        self._receiving = exchange

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        exchange = self._receiving
        if exchange is not None and not exchange.complete and exchange.body_came(body) and not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self._receiving is not None:
            self._receiving.body_ended()
            self._receiving = None
        if self._paused:
            # The end of the connection is to be heard while the call is served.
            self._read_on()

    # -- exchanges ------------------------------------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.task = self.loop.create_task(self._run(exchange))
        self._state.tasks.add(exchange.task)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # a fault of our own: it is shown, and the caller is not left waiting
            LOG.exception("a request failed inside the gateway")
        finally:
            # Here and not in a callback of the task, which would cost another turn of the loop.
            self._state.tasks.discard(exchange.task)
            # The scope knows its exchange, and the exchange its scope: no ring for the collector.
            del exchange.scope["pointsman.exchange"]
        if not exchange.complete and not exchange.disconnected:
            if exchange.started:
                self.close()
            else:
                self._exchange = self._receiving = None
                self.refuse("internal_error", "The gateway made a mistake.")

    def finished(self, exchange: Exchange) -> None:
        """A response is complete: the next request, or none."""
        self._exchange = None
        self._state.total_requests += 1
        if exchange.more_body:
            self._linger()
        elif not exchange.keep_alive:
            self.close()
        elif self._waiting:
            # A caller who does not read what it has been sent gets no more of it.
            if self.drained is None:
                self._begin(self._waiting.popleft())
        else:
            self.idle_since = self.loop.time()

    def write(self, data: bytes) -> None:
        """Send at the end of this turn of the loop."""
        if not self._parts:
            self.loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        parts = self._parts
        if parts and self._transport is not None:
            self._parts = []
            self.before_write()
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def date(self) -> bytes:
        """The date header; uvicorn renews it every second."""
        headers = self._state.default_headers
        return b"date: %b\r\n" % headers[0][1] if headers else b""

    def continue_body(self) -> None:
        """Read on; a caller that waits for `100 Continue` is told to send."""
        if self._paused:
            self._read_on()
        if self._expects_continue:
            self._expects_continue = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_on(self) -> None:
        self._paused = False
        if self._transport is not None:
            self._transport.resume_reading()

    # -- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what was gathered, then close."""
        self._closing = True
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def _linger(self) -> None:
        """Send what was gathered, and close when the caller does.

        Closed while the caller is still sending, the kernel would reset the connection, and the answer might be lost.
        """
        self._closing = True
        transport = self._transport
        if transport is not None:
            self._flush()
            if self._paused:
                self._read_on()
            transport.write_eof()
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_SECONDS, transport.close)

    def _stop_listening(self) -> None:
        """Answer what has been asked, in order, and close behind it."""
        self._deaf = True
        last = self._waiting[-1] if self._waiting else self._exchange
        if last is not None:
            last.keep_alive = False

    def refuse(self, code: str, message: str) -> None:
        """Answer what never became a request, and close. A call in flight is answered first, and then closes."""
        if self._deaf or self._closing:
            return
        error = GatewayError(code, message)
        if self._exchange is not None:
            self._stop_listening()
            if self._receiving is not None:
                self._receiving.broke(error)
            return
        body = error_body(error, "")
        self.write(
            STATUS_LINES[error.kind.status]
            + self.date()
            + b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self._linger()

    def _ends_head(self, data: bytes) -> bool:
        """Whether a long first piece is a short head with a long body."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= MAX_HEADER_BYTES

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_overdue(self) -> None:
        self._timer = None
        if self._in_head and not self._closing:
            if self._head_bytes:
                self.refuse("body_timeout", f"The request's head did not arrive within {HEADER_SECONDS:.0f} seconds.")
            else:
                self.close()

    def is_idle_since(self, moment: float) -> bool:
        """Whether nothing has been asked on this connection since `moment`."""
        return self._exchange is None and self._timer is None and self.idle_since < moment

    def is_stuck(self, now: float) -> bool:
        """Whether the caller has taken nothing for `STUCK_SECONDS` of what waits for it. To be asked now and then."""
        transport = self._transport
        size = transport.get_write_buffer_size() if transport is not None else 0
        if size and transport is not None:
            # What lies with the kernel moves long before our own buffer does.
            size += _with_the_kernel(transport.get_extra_info("socket").fileno())
        if not size or size != self._untaken:
            self._untaken = size
            self._untaken_since = now
            return False
        return now - self._untaken_since > STUCK_SECONDS

    def abort(self) -> None:
        """Close now; what was not taken is lost."""
        if self._transport is not None:
            self._transport.abort()


def _with_the_kernel(descriptor: int) -> int:
    """Bytes of a socket that the other side has not acknowledged; 0 where the system does not tell."""
    try:
        return struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0]  # type: ignore[no-any-return]  # "i" is an int
    except (OSError, ValueError):  # not told here, or the socket is gone by now
        return 0


def protocol_with(before_write: Callable[[], None]) -> type[asyncio.Protocol]:
    """The protocol class of a worker that has something to do before anything goes to a socket."""
    return type("WorkerProtocol", (HttpProtocol,), {"before_write": staticmethod(before_write)})


def close_idle(connections: Iterable[Any], now: float) -> None:
    """Close connections without a request for `KEEP_ALIVE_SECONDS`, and those whose caller takes nothing any more.

    One look for all, now and then, costs less than timers.
    """
    for connection in [c for c in connections if isinstance(c, HttpProtocol)]:
        if connection.is_stuck(now):
            connection.abort()
        elif connection.is_idle_since(now - KEEP_ALIVE_SECONDS):
            connection.close()
