"""The connections of one target: reuse, limits, the queue, and the one timer that watches every deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from pointsman.transport.connection import Connection
from pointsman.transport.contract import Deadlines, Phase, PoolLimits
from pointsman.transport.dial import dial, proxy_authorization
from pointsman.transport.endpoint import Endpoint, ProxyAddress, authority
from pointsman.transport.errors import TransportError
from pointsman.transport.response import Response
from pointsman.transport.tls import TlsContexts

_TICK = 0.04  # seconds between two looks at the deadlines while anything is in flight
_ONE_WRITE = 64 * 1024  # bytes; larger requests are uploaded in slices

# A caller in the queue: gets a connection, or None for the right to open one; and when its time is up.
_Waiter = tuple["asyncio.Future[Connection | None]", float]


class Pool:
    """Keep-alive connections to one endpoint for one target, so that a hung model starves no other.

    Reuse is last in, first out; callers queue first in, first out. A timer runs only while something is in
    flight or kept. The pool may be made anywhere; it belongs to the event loop of its first `send`.
    """

    def __init__(self, endpoint: Endpoint, limits: PoolLimits, *, tls: TlsContexts) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self._where = authority(endpoint.host, endpoint.port)
        self._context = tls.context(endpoint) if endpoint.scheme == "https" else None
        self._absolute = _absolute_form(endpoint)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._open = 0  # places taken: busy, idle, being made, or on the way to a waiter
        self._connecting = 0
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ticking = False
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Calls that hold a connection: being made, or with a response that is not complete."""
        return len(self._busy) + self._connecting

    @property
    def idle(self) -> int:
        """Connections kept for reuse."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """Connections that count against `max_connections`: in flight, kept, or on the way to a waiting call."""
        return self._open

    @property
    def waiting(self) -> int:
        """Calls that queue for a connection."""
        return len(self._waiters)

    async def send(self, head: bytes, body: bytes | Sequence[bytes], deadlines: Deadlines) -> Response:
        """Send one request; return when the response's headers are complete.

        `head` is the whole head: request line, headers with the content-length, blank line. `body` may come in
        parts, which are sent one after the other. Raises TransportError, and nothing else but CancelledError.
        The response must be read to its end or aborted; forgotten, it holds its connection until `total`.
        Not for HEAD, whose responses announce a body that does not come.
        """
        loop = self._loop or self._bind()
        total_due = loop.time() + deadlines.total
        if not self._ticking:
            self._tick_every(_TICK)
        if self._absolute is not None:
            head = _in_absolute_form(head, *self._absolute)
        parts = (head, body) if isinstance(body, bytes) else (head, *body)
        connection = self._reuse() or await self._acquire(deadlines, total_due)
        response = await self._exchange(loop, connection, parts, deadlines, total_due)
        if response.stale:
            # The upstream closed a kept connection as we wrote to it: once more, on a new one.
            connection = await self._acquire(deadlines, total_due, fresh=True)
            response = await self._exchange(loop, connection, parts, deadlines, total_due)
        if not response.status and response.error is not None:
            raise response.error.again()
        return response

    async def _exchange(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        parts: Sequence[bytes],
        deadlines: Deadlines,
        total_due: float,
    ) -> Response:
        small = sum(map(len, parts)) <= _ONE_WRITE
        data = b"".join(parts) if small else b""
        response = connection.begin(deadlines, total_due)
        self._busy.add(connection)
        try:
            if small:
                connection.write(data)
            else:
                await connection.upload(parts)
            if not response.status and response.error is None:
                waiter = response.waiter = loop.create_future()
                await waiter
        except BaseException:  # cancelled, for the most part; whatever it is, nobody will read this response
            response.abort()
            raise
        return response

    # -- finding a connection -------------------------------------------------------------------------------

    def _reuse(self) -> Connection | None:
        now = self._now()
        while self._idle:
            connection = self._idle.pop()
            if connection.keep_until > now:
                return connection
            connection.drop()
        return None

    async def _acquire(self, deadlines: Deadlines, total_due: float, *, fresh: bool = False) -> Connection:
        """A connection by the end of the connect phase: kept (unless `fresh`), new, or handed over in the queue."""
        due = min(self._now() + deadlines.connect, total_due)
        phase = Phase.total if due == total_due else Phase.connect
        while True:
            kept = None if fresh else self._reuse()
            if kept is not None:
                return kept
            if self._open >= self.limits.max_connections and self._idle:
                self._idle[0].drop()
            if self._open < self.limits.max_connections:
                self._open += 1
                return await self._connect(due, phase)
            handed = await self._queue(due)
            if handed is None:
                return await self._connect(due, phase)
            if handed.open:
                return handed

    async def _connect(self, due: float, phase: Phase) -> Connection:
        """A new connection for a place that is already counted; the place is freed if it fails."""
        loop = self._loop or self._bind()
        self._connecting += 1
        connection: Connection | None = None
        try:
            async with asyncio.timeout_at(due):
                connection = await dial(
                    loop, self.endpoint, self._context, lambda: Connection(self.endpoint, self.limits, loop)
                )
        except TimeoutError:
            message = f"no connection to {self._where} in time"
            raise TransportError(message, kind="timeout", phase=phase, sent=False) from None
        finally:
            self._connecting -= 1
            if connection is None or not connection.open:
                self._vacate()
        if not connection.open:
            raise TransportError(f"{self._where} hung up at once", kind="network", sent=False)
        connection.owner = self
        return connection

    async def _queue(self, due: float) -> Connection | None:
        """Wait for a connection that comes free, or (None) for the right to open one."""
        if len(self._waiters) >= self.limits.max_waiting:
            message = f"{self.limits.max_waiting} calls wait for a connection to {self._where} already"
            raise TransportError(message, kind="pool_exhausted", sent=False)
        waiter: asyncio.Future[Connection | None] = (self._loop or self._bind()).create_future()
        entry = (waiter, due)
        self._waiters.append(entry)
        try:
            return await waiter
        except asyncio.CancelledError:
            if entry in self._waiters:
                self._waiters.remove(entry)
            elif not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _give_back(self, handed: Connection | None) -> None:
        if handed is None:
            self._vacate()
        elif handed.open:
            self.release(handed)

    # -- what connections tell (see connection.Owner) -------------------------------------------------------

    def release(self, connection: Connection) -> None:
        """Hand the connection to the first waiter, or keep it."""
        self._busy.discard(connection)
        if self._waiters and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        elif self._closed or len(self._idle) >= self.limits.max_idle:
            connection.drop()
        else:
            connection.keep_until = self._now() + connection.keep_seconds
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Free the place of a closed connection."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._vacate()

    def _vacate(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._open -= 1

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():  # else cancelled in this very turn of the loop
                return waiter
        return None

    # -- time -----------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Fail what is overdue and close what was kept too long. The pool's timer calls this by itself."""
        now = self._now()
        for connection in [c for c in self._busy if c.phase_due <= now or c.total_due <= now]:
            connection.expire(now)
        overdue = [entry for entry in self._waiters if entry[1] <= now]
        for entry in overdue:
            self._waiters.remove(entry)
            message = f"no connection to {self._where} came free in time"
            error = TransportError(message, kind="pool_exhausted", phase=Phase.connect, sent=False)
            if not entry[0].done():
                entry[0].set_exception(error)
        while self._idle and self._idle[0].keep_until <= now:
            self._idle[0].drop()

    def _tick(self) -> None:
        self._timer = None
        self._ticking = False
        self.sweep()
        if self._busy or self._connecting or self._waiters:
            self._tick_every(_TICK)
        elif self._idle:
            self._schedule(max(self._idle[0].keep_until - self._now(), _TICK))

    def _tick_every(self, seconds: float) -> None:
        self._ticking = True
        self._schedule(seconds)

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = (self._loop or self._bind()).call_later(seconds, self._tick)

    def _now(self) -> float:
        return (self._loop or self._bind()).time()

    def _bind(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    # -- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Drain: close what is idle now, and everything else when its response is complete.

        Calls in flight finish, and may still retry through this pool: each then pays for its own connection.
        """
        self._closed = True
        while self._idle:
            self._idle[0].drop()
        if not self._busy and not self._connecting and not self._waiters and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._ticking = False

    def abort(self) -> None:
        """Close everything now; calls in flight fail with `network`, calls in the queue with `pool_exhausted`.

        A call whose connection is still being made is not interrupted; its connect deadline bounds it.
        """
        while (waiter := self._next_waiter()) is not None:  # first, or they would take the places that come free
            error = TransportError(f"the pool of {self._where} was closed", kind="pool_exhausted", sent=False)
            waiter.set_exception(error)
        for connection in list(self._busy):
            connection.abort()
        self.close()


def _absolute_form(endpoint: Endpoint) -> tuple[bytes, bytes] | None:
    """What to put before the path and after the request line of every http request through a proxy."""
    if endpoint.proxy is None or endpoint.scheme != "http":
        return None
    proxy = ProxyAddress.parse(endpoint.proxy)
    return f"http://{authority(endpoint.host, endpoint.port)}".encode(), proxy_authorization(proxy)


def _in_absolute_form(head: bytes, origin: bytes, credentials: bytes) -> bytes:
    line, _, rest = head.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    return b"%b %b%b\r\n%b%b" % (method, origin, target, credentials, rest)
