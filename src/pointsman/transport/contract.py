"""The contract of the transport: what one upstream call may cost in time, room and connections.

How the pieces are used, in the order of one call::

    tls = TlsContexts()                                     # one per process, shared by every pool
    endpoint, base_path = Endpoint.parse("https://api.example.com/v1")
    pool = Pool(endpoint, PoolLimits(), tls=tls)            # one per target: a bulkhead
    response = await pool.send(head, body, deadlines)       # head: request line + headers + blank line, as bytes
    response.status, response.headers                       # names in lower case
    body = await response.read()                            # the whole body, or
    while piece := await response.chunk(): ...              # the body as it arrives, b"" at a clean end

Everything that can go wrong is a `TransportError` (see errors.py). A pool belongs to the event loop of its
first `send`. No step reads the environment, writes a log line or keeps state in a module.
"""

from __future__ import annotations

import enum

import msgspec


class Phase(enum.StrEnum):
    """The part of a call whose time ran out."""

    connect = "connect"
    """Waiting for a free connection, name look-up, TCP, the proxy's tunnel and TLS, all together."""
    write = "write"
    """Handing over the request: the upstream did not take a byte for `Deadlines.idle` seconds."""
    first_token = "first_token"  # noqa: S105 - a language model's token, not a secret
    """From the last request byte to the first body byte (or to what `Response.expect_by` says)."""
    idle = "idle"
    """Between two pieces of the body."""
    total = "total"
    """The whole call, from `Pool.send` to the last body byte."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase of one call may take, in seconds. They are enforced to about 50 ms, never early."""

    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one pool may hold. Sizes are bytes, times are seconds.

    max_connections   connections open at once, busy, idle or being made
    max_idle          connections kept for reuse
    idle_seconds      how long an unused connection is kept
    max_waiting       calls that may queue for a connection; the next one is refused at once
    max_header_bytes  status line and headers, trailers, or chunk headers between two body bytes
    max_body_bytes    what `Response.read` will collect; `Response.chunk` has no limit, its caller streams
    high_water        unread body bytes at which the socket is no longer read; `chunk` takes all there is,
                      so there is no low mark: reading goes on when the caller has caught up
    """

    max_connections: int = 256
    max_idle: int = 64
    idle_seconds: float = 30.0
    max_waiting: int = 1024
    max_header_bytes: int = 64 * 1024
    max_body_bytes: int = 64 * 1024 * 1024
    high_water: int = 256 * 1024

    def __post_init__(self) -> None:
        """Refuse limits that could not serve a single call."""
        if self.max_connections < 1:
            raise ValueError(f"max_connections must be at least 1, not {self.max_connections}")
        if self.max_idle < 0 or self.max_waiting < 0:
            raise ValueError("max_idle and max_waiting must not be negative")
        if min(self.max_header_bytes, self.max_body_bytes, self.high_water) < 1:
            raise ValueError("max_header_bytes, max_body_bytes and high_water must be at least 1 byte")
