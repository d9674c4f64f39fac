"""One call on its way: the record that it will leave, and what the steps hand to one another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pointsman.core.decision import Decision
from pointsman.core.record import CallRecord
from pointsman.dialects.contract import Dialect, Incoming
from pointsman.gateway.exchange import Exchange
from pointsman.gateway.receive import HangUp
from pointsman.gateway.runtime import Principal, Route, Runtime


class Endpoint:
    """A path of the gateway and the dialect that is spoken there."""

    __slots__ = ("dialect", "name")

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect


class Call:
    """State of one call. `clock()` is the monotonic clock in seconds; `deadline` is on that clock.

    The event loop's own time has the same beginning, but stands still within a turn: too coarse to measure with.
    """

    __slots__ = (
        "clock",
        "deadline",
        "decision",
        "endpoint",
        "exchange",
        "hang_up",
        "incoming",
        "principal",
        "record",
        "route",
        "runtime",
        "settled",
        "started",
    )

    incoming: Incoming
    principal: Principal
    route: Route
    decision: Decision

    def __init__(
        self,
        endpoint: Endpoint,
        runtime: Runtime,
        record: CallRecord,
        exchange: Exchange,
        clock: Callable[[], float],
        hang_up: HangUp,
    ) -> None:
        self.endpoint = endpoint
        self.runtime = runtime
        self.record = record
        self.exchange = exchange
        self.clock = clock
        self.started = clock()
        self.deadline = 0.0
        self.hang_up = hang_up
        self.settled = False

    def since_start_us(self) -> int:
        """Microseconds since the call began."""
        return int((self.clock() - self.started) * 1e6)


class CallIds:
    """Ids of calls: unique across workers and restarts, ascending in time within a worker.

    `call_` + 12 hex digits of milliseconds + 8 of this worker's start + a counter.
    """

    def __init__(self) -> None:
        self._worker = os.urandom(4).hex()
        self._count = 0
        self._moment = 0
        self._prefix = ""

    def next(self, now_ns: int) -> str:
        """The id of a call that begins at `now_ns`."""
        self._count += 1
        moment = now_ns // 1_000_000
        if moment != self._moment:
            self._moment = moment
            self._prefix = f"call_{moment:012x}{self._worker}"
        return f"{self._prefix}{self._count & 0xFFFFFF:06x}"


def wall_ns() -> int:
    """Unix time in nanoseconds."""
    return time.time_ns()
