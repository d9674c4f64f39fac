"""The end of every call, whatever came of it: cost, record, metrics. Exactly once, and before its last byte is sent."""

from __future__ import annotations

import asyncio

from pointsman.core.errors import GatewayError
from pointsman.core.money import cost_of
from pointsman.core.record import Attempt, CallRecord, Outcome
from pointsman.core.usage import Usage
from pointsman.gateway.call import Call
from pointsman.gateway.runtime import Target
from pointsman.telemetry.metrics import Counters
from pointsman.telemetry.spool import SpoolError, SpoolWriter

BACKLOG = 10_000
"""Records kept in memory while the disk refuses them; beyond that, calls are refused rather than left unrecorded."""


class Ledger:
    """Where finished calls go: the spool and the counters.

    Records are written at the end of the loop's turn, and in any case before anything is sent to a caller: the server
    calls `flush` before it writes to a socket.
    """

    def __init__(self, spool: SpoolWriter, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self.counters = counters
        self._spool = spool
        self._loop = loop
        self._scheduled = False

    @property
    def backlog(self) -> int:
        """Records that wait in memory for the disk."""
        return self._spool.waiting // 2

    def require_room(self) -> None:
        """Refuse a new call when its record could not be kept. Raises GatewayError."""
        if self._spool.waiting >= 2 * BACKLOG:
            raise GatewayError(
                "record_unavailable",
                "Calls cannot be recorded at the moment (the spool's disk refuses writes), so none is served.",
                retry_after=5.0,
            )

    def opened(self, record: CallRecord) -> None:
        """Mark a stream that is about to reach its caller."""
        self._spool.add_opened(record)
        self._schedule()

    def add(self, record: CallRecord) -> None:
        """Record and count a finished call."""
        self.counters.add(record)
        self._spool.add(record)
        self._schedule()

    def flush(self) -> None:
        """Write what is gathered. What the disk refuses is kept and tried again."""
        self._scheduled = False
        if self._spool.waiting:
            try:
                self._spool.flush()
            except SpoolError:
                self.counters.spool_errors += 1

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)


def price(attempt: Attempt, target: Target, usage: Usage | None) -> None:
    """Set usage and cost of an attempt that reached the model."""
    attempt.usage = usage
    if target.registered:
        attempt.cost_nano, attempt.cost_reason = cost_of(target.spec.prices, usage)
    else:
        attempt.cost_reason = "unregistered"


def settle(call: Call, ledger: Ledger, outcome: Outcome, status: int, error: str = "") -> None:
    """Close the call's record. Later calls of this function do nothing."""
    if call.settled:
        return
    call.settled = True
    record = call.record
    record.outcome = outcome
    record.status = status
    record.error = error
    record.duration_us = call.since_start_us()
    total_cost(record)
    ledger.add(record)


def total_cost(record: CallRecord) -> None:
    """Sum the attempts' costs; unknown when any of them is. No attempt costs nothing."""
    total = 0
    for attempt in record.attempts:
        if attempt.cost_nano is None:
            record.cost_nano, record.cost_reason = None, attempt.cost_reason
            return
        total += attempt.cost_nano
    record.cost_nano = total
