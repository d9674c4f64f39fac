"""Writes gathered until the event loop has run everything that was ready.

A write on a socket wakes its reader, and a wake-up costs more than composing the answer did. Written one right after
the other, after the Python work of all ready calls, the first write wakes the reader and the rest find it awake; head
and body of an answer leave in one packet.
"""

from __future__ import annotations

import asyncio
from typing import Any


class CoalescingTransport:
    """A transport whose `write` gathers, and flushes at the end of this turn of the loop. All else passes through."""

    __slots__ = ("_loop", "_parts", "_transport", "is_closing", "pause_reading", "resume_reading", "set_protocol")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.set_protocol = transport.set_protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what was gathered, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts = self._parts
        if parts:
            self._parts = []
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
