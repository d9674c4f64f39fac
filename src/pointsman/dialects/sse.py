"""Server-sent events, however the bytes were cut."""

from __future__ import annotations

MAX_EVENT = 16 << 20


class EventTooLongError(ValueError):
    """One event grew beyond `MAX_EVENT` bytes without ending."""


class EventSplitter:
    """Cuts a byte stream into whole events, each with the blank line that ends it.

    Line ends may be LF or CRLF (a lone CR is not used by any provider). What is left at the end is in `tail`.
    """

    __slots__ = ("tail",)

    def __init__(self) -> None:
        self.tail = b""

    def split(self, data: bytes) -> list[bytes]:
        """The events completed by `data`. Raises EventTooLongError."""
        searched = 0
        if self.tail:
            # What is left has no blank line, but may hold the beginning of one.
            searched = max(len(self.tail) - 2, 0)
            data = self.tail + data
        events: list[bytes] = []
        start = 0
        while True:
            end = _event_end(data, searched)
            if end < 0:
                break
            events.append(data[start:end])
            start = searched = end
        self.tail = data[start:]
        if len(self.tail) > MAX_EVENT:
            raise EventTooLongError(f"an event of the stream is longer than {MAX_EVENT} bytes")
        return events


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
