"""The end of every call, whatever came of it: cost, record, metrics. Exactly once, and before its last byte is sent."""

from __future__ import annotations

from collections import deque

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
    """Where finished calls go: the spool and the counters."""

    def __init__(self, spool: SpoolWriter, counters: Counters) -> None:
        self.counters = counters
        self._spool = spool
        self._backlog: deque[CallRecord] = deque()

    @property
    def backlog(self) -> int:
        """Records that wait in memory for the disk."""
        return len(self._backlog)

    def require_room(self) -> None:
        """Refuse a new call when its record could not be kept. Raises GatewayError."""
        if len(self._backlog) >= BACKLOG:
            raise GatewayError(
                "record_unavailable",
                "Calls cannot be recorded at the moment (the spool's disk refuses writes), so none is served.",
                retry_after=5.0,
            )

    def opened(self, record: CallRecord) -> None:
        """Mark a stream that is about to reach its caller. When that fails, its record is still to come."""
        try:
            self._spool.opened(record)
        except SpoolError:
            self.counters.spool_errors += 1

    def add(self, record: CallRecord) -> None:
        """Write the record and count the call."""
        self.counters.add(record)
        if self._backlog:
            self._backlog.append(record)
            self.retry()
            return
        try:
            self._spool.call(record)
        except SpoolError:
            self.counters.spool_errors += 1
            self._backlog.append(record)

    def retry(self) -> None:
        """Try to write what waits in memory."""
        while self._backlog:
            try:
                self._spool.call(self._backlog[0])
            except SpoolError:
                return
            self._backlog.popleft()


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
