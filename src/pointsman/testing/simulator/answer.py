"""What the simulated provider received, what it is going to say, and how it is going to deliver that."""

from typing import Any, Literal

import msgspec

Kind = Literal["chat", "embeddings", "models", "other"]
Where = Literal["before_headers", "after_headers", "mid_body"]
How = Literal["reset", "close", "hang", "end"]
CutMode = Literal["event", "byte", "random", "utf8", "pack", "whole", "wire"]
Framing = Literal["natural", "chunked", "close"]


class Call(msgspec.Struct):
    """One request, read. `json` is the decoded body when it is a JSON object, else None."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    kind: Kind = "other"
    json: dict[str, Any] | None = None
    http_1_0: bool = False

    @property
    def stream(self) -> bool:
        """Whether the caller asked for an event stream."""
        return self.json is not None and self.json.get("stream") is True


class Answer(msgspec.Struct):
    """One response before it is put on the wire. Either `body` (unary) or `events` (SSE frames, each complete)."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    events: list[bytes] | None = None
    tokens: int = 0


class Cut(msgspec.Struct, frozen=True):
    """How a body is split into packets. `n` events a packet for `pack`; `pause` seconds between packets."""

    mode: CutMode = "event"
    n: int = 3
    seed: int = 0
    pause: float = 0.0


class Stop(msgspec.Struct, frozen=True):
    """Where a delivery breaks off, and how: reset (RST), close (FIN), hang, or end (a clean but early end)."""

    where: Where
    how: How
    events: int = 0


class Delivery(msgspec.Struct):
    """How an answer goes over the wire. Times in seconds. Faults fill this in before anything is sent."""

    before_headers: float = 0.0
    before_body: float = 0.0
    between: float = 0.0
    cut: Cut | None = None
    framing: Framing = "natural"
    stop: Stop | None = None
    down_for: float | None = None

    def stop_at(self, stop: Stop) -> None:
        """Break off there, unless an earlier fault already chose a place."""
        if self.stop is None:
            self.stop = stop
