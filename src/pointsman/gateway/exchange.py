"""One request and its response on a caller's connection: the ASGI `receive` and `send` of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from pointsman.core.errors import GatewayError
from pointsman.gateway.asgi import HeaderList, Message, Scope

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
"""Status lines of the registered codes; an upstream may use others."""

HIGH_WATER = 256 << 10
"""Unread body bytes at which the socket is no longer read."""


class Line(Protocol):
    """What an exchange asks of its connection."""

    loop: asyncio.AbstractEventLoop
    drained: asyncio.Future[None] | None

    def write(self, data: bytes) -> None:
        """Send at the end of this turn of the loop."""

    def date(self) -> bytes:
        """The date header, with its line end."""

    def continue_body(self) -> None:
        """Read on, and tell a caller that waits for `100 Continue` to send."""

    def finished(self, exchange: Exchange) -> None:
        """The response is complete."""


class Exchange:
    """A request as it arrives and the response as it leaves.

    `lost` is called when the caller hangs up before the response is complete; the request path sets it.
    """

    __slots__ = (
        "_arrived",
        "_broken",
        "_chunked",
        "_head",
        "_is_head_request",
        "_line",
        "_pieces",
        "_size",
        "complete",
        "disconnected",
        "keep_alive",
        "lost",
        "more_body",
        "scope",
        "started",
        "task",
    )

    def __init__(self, line: Line, scope: Scope, *, keep_alive: bool) -> None:
        self._line = line
        self.scope = scope
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.lost: Callable[[], object] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._arrived: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self._broken: GatewayError | None = None
        self._is_head_request = scope["method"] == "HEAD"
        self.more_body = True
        self.started = False
        self.complete = False
        self.disconnected = False

    # -- what the connection tells --------------------------------------------------------------------------

    def body_came(self, data: bytes) -> bool:
        """A piece of the body. Whether so much waits unread that the socket should rest."""
        self._pieces.append(data)
        self._size += len(data)
        self._wake()
        return self._size > HIGH_WATER

    def body_ended(self) -> None:
        """The body is complete."""
        self.more_body = False
        self._wake()

    def broke(self, error: GatewayError) -> None:
        """What follows cannot be read as this request's body. Whoever waits for it is told."""
        self._broken = error
        self._wake()

    def hung_up(self) -> None:
        """The caller has closed the connection."""
        self.disconnected = True
        self._wake()
        if self.lost is not None and not self.complete:
            self.lost()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # -- ASGI ----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The body so far, once there is some; word that the caller is gone. Raises GatewayError for a broken body."""
        while not self._pieces and self.more_body and not self.disconnected:
            if self._broken is not None:
                raise self._broken
            self._line.continue_body()
            self._arrived = self._line.loop.create_future()
            await self._arrived
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """A part of the response. Header names are lower-case and values clean: `gateway.respond` makes them so."""
        line = self._line
        if line.drained is not None and not self.disconnected:
            await line.drained
        if self.disconnected or self.complete:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        body = message["body"]
        more = message.get("more_body", False)
        if self._is_head_request:
            body = b""
        if self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        if self._head:
            body = self._head + body
            self._head = b""
        if body:
            line.write(body)
        if not more:
            self.complete = True
            line.finished(self)

    def respond(self, status: int, headers: HeaderList, body: bytes) -> None:
        """A whole response in one step, for those who hold the exchange itself. `headers` have its content-length."""
        if self.disconnected or self.complete:
            return
        self._start(status, headers)
        self._line.write(self._head if self._is_head_request else self._head + body)
        self._head = b""
        self.complete = True
        self._line.finished(self)

    def push(self, data: bytes) -> bool:
        """Send a part of a started response from inside a callback, where nothing can be awaited.

        False when the caller does not keep up: the next part goes through `send`, which waits.
        """
        if not self.disconnected:
            self._line.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return self._line.drained is None

    def _start(self, status: int, headers: HeaderList) -> None:
        self.started = True
        sized = False
        parts = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, self._line.date()]
        for name, value in headers:
            parts.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                sized = True
        if not sized and self.scope["http_version"] == "1.1":
            self._chunked = not self._is_head_request
            parts.append(b"transfer-encoding: chunked\r\n")
        if self.more_body:
            # What is left of an unread body cannot be told from the next request.
            self.keep_alive = False
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._head = b"".join(parts)
