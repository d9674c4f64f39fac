"""Faults on the wire: slowness, resets, early ends, hangs, odd packets, a listener that goes away."""

from pointsman.testing.simulator.answer import Cut, CutMode, Delivery, Framing, Stop, Where
from pointsman.testing.simulator.fault import Fault


class Latency(Fault, tag="latency", frozen=True, kw_only=True):
    """Seconds before the response headers."""

    seconds: float = 0.2

    def change_delivery(self, delivery: Delivery) -> None:
        """Wait before the headers."""
        delivery.before_headers += self.seconds


class FirstTokenLatency(Fault, tag="first_token_latency", frozen=True, kw_only=True):
    """Seconds between the headers and the first token. A unary answer waits before its headers instead."""

    seconds: float = 0.2

    def change_delivery(self, delivery: Delivery) -> None:
        """Wait before the body."""
        delivery.before_body += self.seconds


class TokenDelay(Fault, tag="token_delay", frozen=True, kw_only=True):
    """Seconds between two events. A unary answer waits as long as its tokens would take."""

    seconds: float = 0.02

    def change_delivery(self, delivery: Delivery) -> None:
        """Wait between events."""
        delivery.between += self.seconds


class Reset(Fault, tag="reset", frozen=True, kw_only=True):
    """TCP RST before the headers, after them, or after `events` events (unary: after half the body)."""

    at: Where = "before_headers"
    events: int = 3

    def change_delivery(self, delivery: Delivery) -> None:
        """Break off with a reset."""
        delivery.stop_at(Stop(self.at, "reset", self.events))


class PrematureEof(Fault, tag="premature_eof", frozen=True, kw_only=True):
    """The connection closes (FIN) although more was promised: content-length unmet, or the last chunk missing."""

    at: Where = "mid_body"
    events: int = 3

    def change_delivery(self, delivery: Delivery) -> None:
        """Break off with a close."""
        delivery.stop_at(Stop(self.at, "close", self.events))


class Hang(Fault, tag="hang", frozen=True, kw_only=True):
    """Silence from that place on, until the client closes."""

    at: Where = "before_headers"
    events: int = 3

    def change_delivery(self, delivery: Delivery) -> None:
        """Fall silent."""
        delivery.stop_at(Stop(self.at, "hang", self.events))


class CutPackets(Fault, tag="cut", frozen=True, kw_only=True):
    """How the body is cut into packets; nothing that is said changes.

    `event` one event a packet, `byte` one byte, `random` at random places, `utf8` inside every character of
    several bytes, `pack` `n` events in one packet, `whole` all in one, `wire` at random places of the whole
    response, headers and chunk sizes included. `pause` seconds between packets.
    """

    mode: CutMode = "random"
    n: int = 3
    seed: int = 0
    pause: float = 0.0

    def change_delivery(self, delivery: Delivery) -> None:
        """Choose the cut."""
        delivery.cut = Cut(self.mode, self.n, self.seed, self.pause)


class OtherFraming(Fault, tag="framing", frozen=True, kw_only=True):
    """How the body's end is told: `chunked`, or `close` (neither length nor chunks; the end is the close)."""

    mode: Framing = "chunked"

    def change_delivery(self, delivery: Delivery) -> None:
        """Choose the framing."""
        delivery.framing = self.mode


class Down(Fault, tag="down", frozen=True, kw_only=True):
    """The listener closes: open connections are reset and new ones refused, for `seconds` (0: until told otherwise)."""

    seconds: float = 0.0

    def change_delivery(self, delivery: Delivery) -> None:
        """Reset this one too, and go down."""
        delivery.down_for = self.seconds
        delivery.stop_at(Stop("before_headers", "reset"))


class Flapping(Fault, tag="flapping", frozen=True, kw_only=True):
    """Up for `up` seconds, down for `down` seconds, and so on, until told otherwise. Not for single requests."""

    up: float = 1.0
    down: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.always:
            raise ValueError("flapping befalls the listener, not requests: it takes up and down alone")
        if min(self.up, self.down) < 0.001:
            raise ValueError("flapping faster than a millisecond is no flapping")
