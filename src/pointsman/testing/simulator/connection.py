"""One client connection of the simulator: raw HTTP/1.1, so that it can also be broken on purpose."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools

from pointsman.testing.simulator.answer import Call
from pointsman.testing.simulator.requests import RecordedRequest
from pointsman.testing.simulator.steps import Step, Wait

if TYPE_CHECKING:
    from pointsman.testing.simulator.server import Simulator

# SO_LINGER on, zero seconds: closing the socket sends RST instead of FIN.
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Reads requests, asks the simulator what to do, and does it step by step; one request at a time."""

    def __init__(self, simulator: "Simulator", number: int, *, control: bool = False) -> None:
        self._simulator = simulator
        self.number = number
        self.control = control
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Call, bool]] = deque()
        self._steps: Iterator[Step] | None = None
        self._record: RecordedRequest | None = None
        self._timer: asyncio.Handle | None = None
        self._writable = True
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    # -- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports do not inherit asyncio's classes, so there is nothing to check.
        self._transport = cast(asyncio.Transport, transport)
        self._simulator.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note whether the client went before its answer was complete."""
        self._simulator.connections.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._steps is not None and self._record is not None:
            self._record.client_closed_at = time.monotonic()
        self._steps = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse; what is not HTTP is refused."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self._transport.close()

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable = False

    def resume_writing(self) -> None:
        """It has caught up: go on."""
        self._writable = True
        if self._steps is not None and self._timer is None:
            self._go_on()

    # -- what the parser tells us

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of several with one name the last counts."""
        lower = name.decode("latin-1").lower()
        self._headers[lower] = value.decode("latin-1")
        if lower == "expect" and value.lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """A whole request is here: answer it, or let it wait for the one before."""
        path, _, query = self._url.decode("latin-1").partition("?")
        call = Call(
            method=self._parser.get_method().decode(),
            path=unquote(path),
            query=query,
            headers=self._headers,
            body=b"".join(self._body),
            http_1_0=self._parser.get_http_version() == "1.0",
        )
        self._waiting.append((call, self._parser.should_keep_alive()))
        self._begin()
        if self._steps is None:
            self._next_call()

    # -- answering

    def _next_call(self) -> None:
        call, keep_alive = self._waiting.popleft()
        self._steps, self._record = self._simulator.begin(call, connection=self, keep_alive=keep_alive)
        self._go_on()

    def _go_on(self) -> None:
        """Do steps until one has to wait."""
        self._timer = None
        while self._steps is not None and self._transport is not None and self._writable:
            step = next(self._steps, "keep_alive")
            if isinstance(step, bytes):
                if self._record is not None and self._record.first_byte_at is None:
                    self._record.first_byte_at = time.monotonic()
                self._transport.write(step)
            elif isinstance(step, Wait):
                self._timer = self._loop.call_later(step.seconds, self._go_on)
                return
            elif step == "hang":
                return
            else:
                self._finish(step)
                return

    def _finish(self, how: str) -> None:
        if self._record is not None:
            self._record.finished_at = time.monotonic()
        self._steps = None
        if how == "reset":
            self.reset()
        elif how == "close" and self._transport is not None:
            self._transport.close()
        elif self._waiting:
            # By way of the loop, so that a long pipeline does not become a deep stack.
            self._loop.call_soon(self._next_if_idle)

    def _next_if_idle(self) -> None:
        if self._steps is None and self._waiting and self._transport is not None:
            self._next_call()

    def reset(self) -> None:
        """Send RST and forget the connection."""
        transport = self._transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()
