"""One connection to the upstream: bytes in, one response at a time out."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Sequence
from typing import Protocol, cast

import httptools

from pointsman.transport.contract import Deadlines, Phase, PoolLimits
from pointsman.transport.endpoint import Endpoint, authority
from pointsman.transport.errors import Kind, TransportError
from pointsman.transport.framing import ends_with_the_stream, keep_alive_hint
from pointsman.transport.response import Response
from pointsman.transport.tls import tls_error

_ONE_WRITE = 64 * 1024  # a request up to this size is joined and written at once; above, sliced without a copy
_NEVER = math.inf
_TIMED_OUT = {
    Phase.write: "did not take the request",
    Phase.first_token: "sent no token",
    Phase.idle: "stopped sending in the middle of the response",
    Phase.total: "did not finish the response",
}


class Owner(Protocol):
    """What a connection tells its pool."""

    def release(self, connection: Connection) -> None:
        """Take the connection back: its response is complete and it may carry another."""

    def forget(self, connection: Connection) -> None:
        """Free the connection's place: it is closed, or closing."""


class _FaultError(Exception):
    """Raised inside a parser callback to stop the parser; `kind` and text become a TransportError."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Connection(asyncio.Protocol):
    """Parses responses and keeps their deadlines; every method runs in the loop's thread and never blocks.

    `phase`, `phase_due` and `total_due` (loop clock) are read by the pool's sweeper while a response is due.
    """

    __slots__ = (
        "_drained",
        "_feed",
        "_first_byte",
        "_headers",
        "_high_water",
        "_idle",
        "_informational",
        "_limits",
        "_loop",
        "_parser",
        "_paused",
        "_peer",
        "_pinned",
        "_quiet",
        "_response",
        "_reusable",
        "_sent",
        "_served",
        "_transport",
        "_unanswered",
        "_write_paused",
        "endpoint",
        "keep_seconds",
        "keep_until",
        "open",
        "owner",
        "phase",
        "phase_due",
        "total_due",
    )

    def __init__(self, endpoint: Endpoint, limits: PoolLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.owner: Owner | None = None  # set when the pool has taken the connection in
        self._limits = limits
        self._high_water = limits.high_water
        self._loop = loop
        self._peer = authority(endpoint.host, endpoint.port)
        self.endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._served = 0
        self._drained: asyncio.Future[None] | None = None
        self._write_paused = False
        self._paused = False
        self._informational = False
        self._reusable = False
        self._sent = False  # the whole request has been handed to the socket
        self._unanswered = True  # not one byte of the response has arrived
        self._pinned = False  # the phase deadline does not move with arriving bytes
        self._quiet = 0  # bytes since the last body byte: headers, trailers, chunk headers
        self._first_byte = self._idle = 0.0
        self.phase = Phase.first_token
        self.phase_due = self.total_due = _NEVER
        self.keep_seconds = limits.idle_seconds
        self.keep_until = _NEVER
        self.open = True

    # -- a request goes out ---------------------------------------------------------------------------------

    def begin(self, deadlines: Deadlines, total_due: float) -> Response:
        """Make ready for one exchange; `write` or `upload` follows."""
        response = self._response = Response(self, self._loop, self._limits.max_body_bytes)
        self._first_byte = deadlines.first_byte
        self._idle = deadlines.idle
        self.total_due = total_due
        self._sent = self._reusable = self._pinned = False
        self._unanswered = True
        self._quiet = 0
        return response

    def write(self, data: bytes) -> None:
        """Send a small request in one piece, at the end of this turn of the loop.

        Calls of one turn then write one after the other: the first write wakes the upstream, and the rest find it
        awake. A wake-up costs more than the rest of a call does.
        """
        assert self._transport is not None  # noqa: S101 - begin() is only called on a connected connection
        self._loop.call_soon(self._transport.write, data)
        self._is_sent()

    async def upload(self, parts: Sequence[bytes]) -> None:
        """Send a large request in slices, as fast as the socket takes them; stops when an answer comes early."""
        response = self._response
        self.phase = Phase.write
        self.phase_due = self._loop.time() + self._idle
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _ONE_WRITE):
                if self._response is not response or (response is not None and response.status):
                    return
                assert self._transport is not None  # noqa: S101 - connected, see write()
                self._transport.write(view[start : start + _ONE_WRITE])
                if self._write_paused:
                    await self._drain()
                    self.phase_due = self._loop.time() + self._idle
        if self._response is response:
            self._is_sent()

    async def _drain(self) -> None:
        self._drained = self._loop.create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    def _is_sent(self) -> None:
        self._sent = True
        self.phase = Phase.first_token
        self.phase_due = self._loop.time() + self._first_byte

    def _wake_upload(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # -- what a Response asks -------------------------------------------------------------------------------

    def expect_by(self, at: float, phase: Phase) -> None:
        """See Response.expect_by."""
        self.phase = phase
        self.phase_due = at
        self._pinned = phase is not Phase.idle

    def resume(self) -> None:
        """Read the socket again after `high_water` had stopped it."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
            if not self._pinned:
                self.phase_due = self._loop.time() + self._idle

    def abort(self) -> None:
        """Close now, failing the response that is due."""
        self._fail("network", f"the call to {self._peer} was aborted on our side")

    def expire(self, now: float) -> None:
        """Fail the response whose deadline has passed (called by the pool's sweeper)."""
        phase = Phase.total if self.total_due <= now else self.phase
        self._fail("timeout", f"{self._peer} {_TIMED_OUT.get(phase, 'was too slow')} in time", phase)

    # -- bytes come in (called by the event loop) -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; hand the connection back when the response is complete."""
        response = self._response
        if response is None:
            self.drop()  # nobody asked: whatever this is, the next response must not begin with it
            return
        before = response.buffered
        self._unanswered = False
        self._quiet += len(data)
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._reusable = False
            if not response.complete:
                self._garbled(error)
                return
        arrived = response.buffered != before
        if arrived and response.sink is not None:
            response.deliver()
        if response.complete:
            self._finish(response)
        elif arrived:
            self._quiet = 0
            if not self._pinned:
                self.phase = Phase.idle
                self.phase_due = self._loop.time() + self._idle
            if response.buffered >= self._high_water and not self._paused:
                self._pause()
        elif self._quiet > self._limits.max_header_bytes:
            self._fail("too_large", f"{self._peer} sent more than {self._limits.max_header_bytes} header bytes")

    def eof_received(self) -> None:
        """Take the end of the stream as final: a half-closed upstream has nothing to add."""
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the response that is due, unless its end was to be told by the end of the stream."""
        response = self._response
        if response is None:
            self.drop()
        elif exc is None and response.status and ends_with_the_stream(response):
            self._reusable = False
            response.complete = True
            self._finish(response)
        elif isinstance(exc, ssl.SSLError):
            self._fail_with(tls_error(self.endpoint, exc, sent=self._sent))
        elif self._unanswered:
            response.stale = self._served > 0
            self._fail("network", f"{self._peer} closed the connection without an answer{_because(exc)}")
        elif exc is None:
            where = "body" if response.status else "headers"
            self._fail("truncated", f"{self._peer} ended the response in the middle of its {where}")
        else:
            self._fail("network", f"{self._peer} broke the connection during its response{_because(exc)}")

    def pause_writing(self) -> None:
        """Stop the upload: the socket's buffer is full."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Go on with the upload."""
        self._write_paused = False
        self._wake_upload()

    # -- the parser's callbacks -----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Stop at a second response that nobody asked for."""
        if self._response is None or self._response.complete:
            raise _FaultError("protocol", "more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, or a trailer that nobody will read."""
        self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Skip 1xx; else publish status and headers and wake the caller of `send`."""
        headers, self._headers = self._headers, []
        limit = self._limits.max_header_bytes
        if self._quiet > limit and sum(len(name) + len(value) + 4 for name, value in headers) > limit:
            raise _FaultError("too_large", f"{self._peer} sent more than {limit} header bytes")
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _FaultError("protocol", f"{self._peer} wants to switch protocols (101)")
            self._informational = True
            return
        response = self._response
        assert response is not None  # noqa: S101 - on_message_begin has seen to it
        response.headers = headers
        response.status = status
        response.wake()
        if self._drained is not None:
            self._wake_upload()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body and wake its reader."""
        response = self._response
        assert response is not None  # noqa: S101 - on_message_begin has seen to it
        response.chunks.append(data)
        response.buffered += len(data)
        if response.waiter is not None and response.sink is None:
            response.wake()

    def on_message_complete(self) -> None:
        """Note the end, and whether another request may follow on this connection."""
        if self._informational:
            self._informational = False
            return
        response = self._response
        assert response is not None  # noqa: S101 - on_message_begin has seen to it
        response.complete = True
        self._reusable = self._sent and self._parser.should_keep_alive()

    # -- endings --------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """Close without a word and free the place. Harmless when closed."""
        if not self.open:
            return
        self.open = False
        if self._transport is not None:
            self._transport.abort()
        del self._parser, self._feed  # the parser holds our bound methods: no ring for the collector
        if self.owner is not None:
            self.owner.forget(self)

    def _finish(self, response: Response) -> None:
        self._response = None
        response.wire = None
        if self._paused:
            self.resume()
        if self._served == 0:
            self._served = 1
            self.keep_seconds = min(self.keep_seconds, keep_alive_hint(response))
        if self._headers:
            self._headers = []
        if self._reusable and self.open and self.owner is not None:
            self.owner.release(self)
        else:
            self.drop()
        self._wake_upload()
        response.wake()

    def _garbled(self, error: Exception) -> None:
        cause = error.__context__
        if isinstance(cause, _FaultError):
            self._fail(cause.kind, str(cause))
        elif isinstance(error, httptools.HttpParserError):
            self._fail("protocol", f"{self._peer} does not speak HTTP/1.1 as it should: {error}")
        else:
            self._fail("protocol", f"{self._peer} wants to switch protocols")

    def _fail(self, kind: Kind, message: str, phase: Phase | None = None) -> None:
        self._fail_with(TransportError(message, kind=kind, phase=phase, sent=self._sent))

    def _fail_with(self, error: TransportError) -> None:
        response = self._response
        self._response = None
        self.drop()
        self._wake_upload()
        if response is not None:
            response.wire = None
            response.error = error
            response.wake()

    def _pause(self) -> None:
        assert self._transport is not None  # noqa: S101 - data has come from it
        self._paused = True
        self._transport.pause_reading()
        if not self._pinned:
            self.phase_due = _NEVER  # it is our reader who is slow


def _because(exc: Exception | None) -> str:
    return f": {exc}" if exc is not None and str(exc) else ""
