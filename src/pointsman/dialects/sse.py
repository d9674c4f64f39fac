"""Server-sent events, however the bytes were cut."""

from __future__ import annotations

MAX_EVENT = 16 << 20


class EventTooLongError(ValueError):
    """One event grew beyond `MAX_EVENT` bytes without ending."""


class EventSplitter:
    """Cuts a byte stream into whole events, each with the blank line that ends it.

    Line ends may be LF or CRLF (a lone CR is not used by any provider). What is left at the end is in `pieces`: they
    are put together when their event is complete, and not once for every piece that a long one comes in.
    """

    __slots__ = ("_size", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._size = 0

    @property
    def tail(self) -> bytes:
        """The bytes of an event that is not complete."""
        return b"".join(self.pieces)

    def split(self, data: bytes) -> list[bytes]:
        """The events completed by `data`. Raises EventTooLongError."""
        searched = 0
        if self.pieces:
            # What is left has no blank line, but may hold the beginning of one.
            edge = self._edge() + data
            if _event_end(edge, 0) < 0:
                self._keep(data)
                return []
            searched = max(self._size - 2, 0)
            data = self.tail + data
            self.pieces.clear()
            self._size = 0
        events: list[bytes] = []
        start = 0
        while True:
            end = _event_end(data, searched)
            if end < 0:
                break
            events.append(data[start:end])
            start = searched = end
        if start < len(data):
            self._keep(data[start:])
        return events

    def _keep(self, data: bytes) -> None:
        self.pieces.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise EventTooLongError(f"an event of the stream is longer than {MAX_EVENT} bytes")

    def _edge(self) -> bytes:
        """The last two bytes so far, whatever pieces they came in."""
        edge = b""
        for piece in reversed(self.pieces):
            edge = piece[-2:] + edge
            if len(edge) >= 2:
                break
        return edge[-2:]


def _event_end(data: bytes, start: int) -> int:
    """Offset behind the first blank line at or after `start`, -1 when there is none yet."""
    lf = data.find(b"\n\n", start)
    crlf = data.find(b"\n\r\n", start, lf + 2 if lf >= 0 else len(data))
    if crlf >= 0:
        return crlf + 3
    return lf + 2 if lf >= 0 else -1


def event_data(event: bytes) -> bytes:
    """The data of an event: its `data:` lines joined by newlines; empty for comments and events without data."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2:
        return event[6:].rstrip(b"\r\n")
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)
