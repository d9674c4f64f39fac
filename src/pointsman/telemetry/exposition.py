"""The merged counters in Prometheus' text form. Imported when somebody scrapes, not before."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.core.money import NANO
from pointsman.telemetry.metrics import BUCKETS, OVERHEAD_BUCKETS, Histogram, Snapshot


class Workers(Collector):
    """A collector over one merged snapshot. `revisions` are the revision numbers that the workers serve."""

    def __init__(self, total: Snapshot, revisions: dict[str, int]) -> None:
        self._total = total
        self._revisions = revisions

    def collect(self) -> Iterator[Metric]:
        """All metric families, in the order of docs/reference/metrics.md."""
        yield from self._calls()
        yield from self._attempts()
        for name, help_text, label, counts in (
            ("pointsman_dropped", "Candidates that a decision dropped, by reason", "reason", self._total.dropped),
            ("pointsman_unresolved", "Calls whose name is not registered", "kind", self._total.unresolved),
            ("pointsman_drift", "Answers reported by another model than asked", "target", self._total.drift),
        ):
            family = CounterMetricFamily(name, help_text, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family
        yield GaugeMetricFamily("pointsman_in_flight", "Calls being served", value=self._total.in_flight)
        yield CounterMetricFamily(
            "pointsman_spool_errors", "Call records that could not be written at once", value=self._total.spool_errors
        )
        yield GaugeMetricFamily(
            "pointsman_spool_backlog", "Call records waiting in memory for the disk", value=self._total.spool_backlog
        )
        revision = GaugeMetricFamily("pointsman_revision", "Revision that a worker serves", labels=["worker"])
        for worker, number in self._revisions.items():
            revision.add_metric([worker], number)
        yield revision

    def _calls(self) -> Iterator[Metric]:
        labels = ["endpoint", "outcome", "status"]
        requests = CounterMetricFamily("pointsman_requests", "Calls by outcome and status", labels=labels)
        duration = HistogramMetricFamily("pointsman_request_seconds", "Duration of calls", labels=labels)
        overhead = HistogramMetricFamily("pointsman_overhead_seconds", "Our own share of calls", labels=labels)
        first = HistogramMetricFamily("pointsman_first_token_seconds", "Time to the first content token", labels=labels)
        for cell in self._total.calls:
            values = [cell.endpoint, cell.outcome, str(cell.status)]
            requests.add_metric(values, sum(cell.duration.counts))
            _add(duration, values, cell.duration, BUCKETS)
            _add(overhead, values, cell.overhead, OVERHEAD_BUCKETS)
            if any(cell.first_token.counts):
                _add(first, values, cell.first_token, BUCKETS)
        yield from (requests, duration, overhead, first)

    def _attempts(self) -> Iterator[Metric]:
        labels = ["target", "kind", "failure"]
        attempts = CounterMetricFamily("pointsman_attempts", "Upstream calls", labels=labels)
        tokens = CounterMetricFamily("pointsman_tokens", "Tokens that providers reported", labels=["target", "kind"])
        cost = CounterMetricFamily("pointsman_cost_usd", "Known cost in dollars", labels=["target"])
        unknown = CounterMetricFamily("pointsman_cost_unknown", "Attempts of unknown cost", labels=["target"])
        sums: dict[str, list[int]] = {}
        for cell in self._total.attempts:
            attempts.add_metric([cell.target, cell.kind, cell.failure], cell.count)
            total = sums.setdefault(cell.target, [0, 0, 0, 0, 0])
            for i, value in enumerate(
                (cell.input_tokens, cell.output_tokens, cell.cached_tokens, cell.cost_nano, cell.cost_unknown)
            ):
                total[i] += value
        for target, (given, made, cached, nano, unpriced) in sums.items():
            for kind, count in (("input", given), ("output", made), ("cache_read", cached)):
                tokens.add_metric([target, kind], count)
            cost.add_metric([target], nano / NANO)
            unknown.add_metric([target], unpriced)
        yield from (attempts, tokens, cost, unknown)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram, bounds: tuple[float, ...]) -> None:
    running = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, bounds), "+Inf"), histogram.counts, strict=True):
        running += count
        buckets.append((bound, running))
    family.add_metric(labels, buckets, histogram.sum_us / 1e6)


def render(total: Snapshot, revisions: dict[str, int]) -> bytes:
    """Prometheus text of the merged counters."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Workers(total, revisions))
    return generate_latest(registry)
