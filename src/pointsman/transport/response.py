"""The response of one call, as its reader sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from pointsman.transport.contract import Phase
from pointsman.transport.errors import TransportError


class Wire(Protocol):
    """What a response asks of the connection it is arriving on."""

    def expect_by(self, at: float, phase: Phase) -> None:
        """Replace the deadline of the phase that is running."""

    def resume(self) -> None:
        """Read on: the unread body has been taken."""

    def abort(self) -> None:
        """Close at once, without waiting for anything."""


class Response:
    """Status and headers are there when `Pool.send` returns; the body is read once, by one reader.

    status   the final status; 1xx answers have been skipped
    headers  (name in lower case, value) in the order of arrival; trailers are not kept

    The attributes below `headers` belong to the connection that fills them in; a reader uses the methods.
    """

    __slots__ = (
        "buffered",
        "chunks",
        "complete",
        "error",
        "headers",
        "loop",
        "max_body",
        "sink",
        "stale",
        "status",
        "waiter",
        "wire",
    )

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop, max_body: int) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.wire: Wire | None = wire  # None when the connection is done with this response
        self.loop = loop
        self.max_body = max_body
        self.chunks: list[bytes] = []
        self.buffered = 0  # bytes in chunks
        self.waiter: asyncio.Future[None] | None = None
        self.sink: Callable[[bytes], bool] | None = None
        self.complete = False
        self.error: TransportError | None = None
        self.stale = False  # the connection was a kept one, and closed before it answered a byte

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, its name given in lower case; None if it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def read(self) -> bytes:
        """Return the whole body; TransportError `too_large` beyond `PoolLimits.max_body_bytes`."""
        if self.complete:
            if self.buffered > self.max_body:
                self._refuse_body()
            return await self.chunk()
        declared = self.header(b"content-length")
        if declared is not None and int(declared) > self.max_body:
            self._refuse_body()
        parts: list[bytes] = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > self.max_body:
                self._refuse_body()
            parts.append(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunk(self) -> bytes:
        """Return all body bytes that have arrived, waiting for some; `b""` exactly at a clean end.

        What arrived before a failure is handed out first; then, and on every later call, the failure is raised.
        """
        chunks = self.chunks
        if not chunks:
            if self.complete:
                return b""
            await self.wait()
            if not chunks:
                if self.error is not None:
                    raise self.error.again()
                return b""
        return self._take()

    async def pipe(self, sink: Callable[[bytes], bool]) -> None:
        """Hand body bytes to `sink` the moment they arrive, without waking the reader's task for each piece.

        Returns when `sink` gives False (it has taken its bytes, and wants no more for now) or the body is at its end
        (`ended`). Raises TransportError after what arrived before the failure was handed over. `sink` must not raise.
        """
        if self.chunks and not sink(self._take()):
            return
        if self.complete:
            return
        self.sink = sink
        try:
            await self.wait()
        finally:
            self.sink = None
        if self.error is not None and not self.chunks:
            raise self.error

    @property
    def ended(self) -> bool:
        """Whether the body is complete and all of it has been taken."""
        return self.complete and not self.chunks

    def deliver(self) -> None:
        """Hand what has arrived to the sink (for the connection)."""
        if self.sink is not None and not self.sink(self._take()):
            self.sink = None
            self.wake()

    def _take(self) -> bytes:
        chunks = self.chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        if self.wire is not None:
            self.wire.resume()
        return data

    async def wait(self) -> None:
        """Wait until the connection has something to tell; a cancelled wait closes the connection."""
        if self.error is not None:
            raise self.error.again()
        if self.waiter is not None:
            raise RuntimeError("a response is read by one task at a time")
        waiter = self.waiter = self.loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def expect_by(self, at: float, phase: Phase) -> None:
        """Replace the deadline that runs now: fail with `phase` unless the next call comes before `at`.

        `at` is on the clock of `loop.time()`; `math.inf` lifts the deadline, the total one excepted. With
        `Phase.idle` every body byte moves it on by `Deadlines.idle` again; with any other phase bytes do not move
        it, so that a stream which sends pings but no token still fails. Without effect on a finished response.
        """
        if self.wire is not None:
            self.wire.expect_by(at, phase)

    def abort(self) -> None:
        """Give the call up: the connection closes now, unread body is dropped. Harmless when it is done."""
        self.chunks.clear()
        self.buffered = 0
        if self.wire is not None:
            self.wire.abort()

    def wake(self) -> None:
        """Tell the reader, if one waits, that there is something new (for the connection)."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _refuse_body(self) -> None:
        self.abort()
        message = f"the response body is larger than max_body_bytes ({self.max_body})"
        self.error = TransportError(message, kind="too_large", sent=True)
        raise self.error.again()
