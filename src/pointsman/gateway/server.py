"""The HTTP server of a worker: uvicorn's protocol with bounds on what a caller may send before a request begins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pointsman.core.errors import GatewayError
from pointsman.dialects.openai_errors import error_body
from pointsman.gateway.coalesce import CoalescingTransport

MAX_HEADER_BYTES = 64 << 10
"""Request line and headers of one request."""

HEADER_SECONDS = 20.0
"""How long a connection may take to send a complete head, counted from its first byte (or from being opened)."""


KEEP_ALIVE_SECONDS = 75.0
"""How long a connection without a request is kept."""


class GuardedProtocol(HttpToolsProtocol):
    """Refuses heads that are too long, too slow or not HTTP, each with an error that clients can read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected: its first head is due."""
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
        self._head_bytes = 0
        self._in_head = True
        self.idle_since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEADER_SECONDS, self._head_overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller. The parser calls back as soon as it knows more."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES and not self._ends_head(data):
                self._refuse("headers_too_large", f"The request's head is longer than {MAX_HEADER_BYTES} bytes.")
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No endpoint upgrades; the request itself is served as what it is.
            return
        except httptools.HttpParserError as error:
            if not self.transport.is_closing():
                self._refuse("invalid_request", f"This is not an HTTP request: {error}.")

    def _ends_head(self, data: bytes) -> bool:
        """Whether a long first piece is a short head with a long body."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._head_bytes - len(data) + end <= MAX_HEADER_BYTES

    def on_response_complete(self) -> None:
        """An answer is out: the connection is idle. `close_idle` looks after it, instead of a timer for each."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.idle_since = self.loop.time()
        self.server_state.total_requests += 1
        self.flow.resume_reading()

    def on_message_begin(self) -> None:
        """A head begins."""
        if not self._in_head:
            self._in_head = True
            self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete: its request starts."""
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes:
                self._refuse("body_timeout", f"The request's head did not arrive within {HEADER_SECONDS:.0f} seconds.")
            else:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Uvicorn's own refusals, in our shape."""
        self._refuse("invalid_request", msg)

    def _refuse(self, code: str, message: str) -> None:
        error = GatewayError(code, message)
        body = error_body(error, "")
        head = (
            f"HTTP/1.1 {error.kind.status} Refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def close_idle(connections: Iterable[Any], now: float) -> None:
    """Close connections that have had no request for `KEEP_ALIVE_SECONDS`."""
    for connection in [c for c in connections if isinstance(c, GuardedProtocol)]:
        cycle: Any = connection.cycle
        if cycle is not None and cycle.response_complete and now - connection.idle_since > KEEP_ALIVE_SECONDS:
            connection.transport.close()


def protocol_class() -> type[asyncio.Protocol]:
    """The class that uvicorn makes a connection of."""
    guarded: Any = GuardedProtocol
    return guarded  # type: ignore[no-any-return]  # uvicorn's class has no types of its own
