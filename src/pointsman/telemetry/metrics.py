"""Counters of one gateway worker, cheap to add to; merged over all workers and rendered for Prometheus when scraped.

A worker adds a call with one dictionary look-up per attempt and one per call; names and labels are made at scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from pointsman.core.record import CallRecord, Outcome, RouteKind

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the duration histograms, seconds."""

OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
"""Upper bounds of the histogram of our own share of a call, seconds."""

_BOUNDS_US = [int(b * 1e6) for b in BUCKETS]
_OVERHEAD_US = [int(b * 1e6) for b in OVERHEAD_BUCKETS]


class Histogram(msgspec.Struct, array_like=True):
    """Counts per bucket (the last one is open) and the sum in microseconds."""

    counts: list[int]
    sum_us: int = 0

    def merge(self, other: Histogram) -> None:
        """Add another histogram of the same buckets."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum_us += other.sum_us


def _durations() -> Histogram:
    return Histogram([0] * (len(BUCKETS) + 1))


def _overheads() -> Histogram:
    return Histogram([0] * (len(OVERHEAD_BUCKETS) + 1))


class CallCell(msgspec.Struct, array_like=True):
    """Calls that share endpoint, outcome and status."""

    endpoint: str
    outcome: str
    status: int
    duration: Histogram = msgspec.field(default_factory=_durations)
    overhead: Histogram = msgspec.field(default_factory=_overheads)
    first_token: Histogram = msgspec.field(default_factory=_durations)

    def merge(self, other: CallCell) -> None:
        """Add a cell of the same labels."""
        self.duration.merge(other.duration)
        self.overhead.merge(other.overhead)
        self.first_token.merge(other.first_token)


class AttemptCell(msgspec.Struct, array_like=True):
    """Attempts that share target, kind and failure."""

    target: str
    kind: str
    failure: str
    count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_nano: int = 0
    cost_unknown: int = 0

    def merge(self, other: AttemptCell) -> None:
        """Add a cell of the same labels."""
        self.count += other.count
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.cost_nano += other.cost_nano
        self.cost_unknown += other.cost_unknown


class Snapshot(msgspec.Struct):
    """A worker's counters as they travel to the worker that is scraped."""

    calls: list[CallCell] = []
    attempts: list[AttemptCell] = []
    dropped: dict[str, int] = {}
    unresolved: dict[str, int] = {}
    drift: dict[str, int] = {}
    in_flight: int = 0
    spool_errors: int = 0
    spool_backlog: int = 0


UNREGISTERED_TARGET = "(unregistered)"


class Counters:
    """The counters of this worker."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, int], CallCell] = {}
        self._attempts: dict[tuple[str, str, str], AttemptCell] = {}
        self._dropped: dict[str, int] = {}
        self._unresolved: dict[str, int] = {}
        self._drift: dict[str, int] = {}
        self.in_flight = 0
        self.spool_errors = 0

    def add(self, record: CallRecord) -> None:
        """Count one finished call."""
        key = (record.endpoint, record.outcome, record.status)
        cell = self._calls.get(key)
        if cell is None:
            cell = self._calls[key] = CallCell(*key)
        duration = record.duration_us
        histogram = cell.duration
        histogram.counts[bisect_left(_BOUNDS_US, duration)] += 1
        histogram.sum_us += duration
        unregistered = record.route_kind is RouteKind.UNREGISTERED
        for attempt in record.attempts:
            duration -= attempt.duration_us
            # Names that callers make up must not become label values: their number has no bound.
            target = UNREGISTERED_TARGET if unregistered else attempt.target
            label = (target, attempt.kind, attempt.failure)
            mine = self._attempts.get(label)
            if mine is None:
                mine = self._attempts[label] = AttemptCell(*label)
            mine.count += 1
            usage = attempt.usage
            if usage is not None:
                mine.input_tokens += usage.input_tokens
                mine.output_tokens += usage.output_tokens
                mine.cached_tokens += usage.cache_read_tokens
            if attempt.cost_nano is None:
                mine.cost_unknown += 1
            else:
                mine.cost_nano += attempt.cost_nano
        if duration < 0:
            duration = 0
        histogram = cell.overhead
        histogram.counts[bisect_left(_OVERHEAD_US, duration)] += 1
        histogram.sum_us += duration
        if record.first_token_us is not None:
            cell.first_token.counts[bisect_left(_BOUNDS_US, record.first_token_us)] += 1
            cell.first_token.sum_us += record.first_token_us
        if record.dropped or record.drift or record.route_kind is not RouteKind.WORKFLOW:
            self._rarely(record)

    def _rarely(self, record: CallRecord) -> None:
        for dropped in record.dropped:
            self._dropped[dropped.reason] = self._dropped.get(dropped.reason, 0) + 1
        if record.drift:
            target = UNREGISTERED_TARGET if record.route_kind is RouteKind.UNREGISTERED else record.target
            self._drift[target] = self._drift.get(target, 0) + 1
        if record.route_kind is RouteKind.UNREGISTERED or (
            record.route_kind is RouteKind.UNKNOWN and record.requested and record.outcome is Outcome.REFUSED
        ):
            self._unresolved[record.route_kind] = self._unresolved.get(record.route_kind, 0) + 1

    def snapshot(self, *, spool_backlog: int = 0) -> Snapshot:
        """The counters at this moment. The snapshot shares the cells: encode it before the next call is added."""
        return Snapshot(
            list(self._calls.values()),
            list(self._attempts.values()),
            self._dropped,
            self._unresolved,
            self._drift,
            self.in_flight,
            self.spool_errors,
            spool_backlog,
        )


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of several workers' counters."""
    calls: dict[tuple[str, str, int], CallCell] = {}
    attempts: dict[tuple[str, str, str], AttemptCell] = {}
    total = Snapshot([], [], {}, {}, {})
    for one in snapshots:
        for call in one.calls:
            calls.setdefault((call.endpoint, call.outcome, call.status), _empty_call(call)).merge(call)
        for attempt in one.attempts:
            label = (attempt.target, attempt.kind, attempt.failure)
            attempts.setdefault(label, AttemptCell(*label)).merge(attempt)
        for mine, theirs in (
            (total.dropped, one.dropped),
            (total.unresolved, one.unresolved),
            (total.drift, one.drift),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        total.in_flight += one.in_flight
        total.spool_errors += one.spool_errors
        total.spool_backlog += one.spool_backlog
    total.calls = list(calls.values())
    total.attempts = list(attempts.values())
    return total


def _empty_call(like: CallCell) -> CallCell:
    return CallCell(like.endpoint, like.outcome, like.status)
