"""The report on a target: which traffic used it, what it cost, and what is known of its quality."""

from __future__ import annotations

import msgspec

from pointsman.control.shapes import iso, ms, usd
from pointsman.core.record import Outcome
from pointsman.store.reports import CoverageFigures, Period, Share, TargetFigures

NO_EVALUATIONS = "not measured: this version has no evaluations"


class ShareView(msgspec.Struct, frozen=True):
    """One row of a breakdown. `cost_unknown` calls are not in `cost_usd`."""

    name: str
    calls: int
    share: float
    cost_usd: str
    cost_unknown: int


class AttemptsView(msgspec.Struct, frozen=True):
    """Attempts of one kind with one failure (empty: they succeeded)."""

    kind: str
    failure: str
    attempts: int
    cost_usd: str


class TrafficView(msgspec.Struct, frozen=True):
    """Calls that the target answered, or was the last to fail. `share` is of the calls of all targets."""

    calls: int
    share: float | None
    by: dict[str, list[ShareView]]
    attempts: list[AttemptsView]


class CostView(msgspec.Struct, frozen=True):
    """Spend on the calls above, failed attempts at other targets included. None where nothing is known."""

    total_usd: str
    total_nano: int
    per_call_usd: str | None
    per_successful_call_usd: str | None
    unknown_cost_calls: int
    unknown_cost_reasons: dict[str, int]
    input_tokens: int
    output_tokens: int


class QualityView(msgspec.Struct, frozen=True):
    """What is known without evaluations. Latencies are those of successful calls, in milliseconds."""

    evaluations: str
    outcomes: dict[str, int]
    error_rate: float | None
    errors: dict[str, int]
    drift: int
    reported_models: dict[str, int]
    truncated: int
    finish_reasons: dict[str, int]
    latency_ms: dict[str, float]
    first_token_ms: dict[str, float]


class TargetReport(msgspec.Struct, frozen=True):
    """The three questions about a target, over a period. `registered` is about the current revision."""

    target: str
    registered: bool
    state: str
    since: str
    until: str
    traffic: TrafficView
    cost: CostView
    quality: QualityView


class CoverageView(msgspec.Struct, frozen=True):
    """Share of calls and of known spend that came in by registered names and were served by approved targets.

    The shares are of calls that named a model; None when there were none (or no known spend).
    """

    since: str
    until: str
    calls: int
    share_of_calls: float | None
    share_of_spend: float | None
    covered: ShareView
    refused: ShareView
    unregistered: ShareView
    unknown: ShareView
    unnamed_calls: int
    unregistered_names: list[ShareView]
    unknown_names: list[ShareView]


def share_of(part: int, whole: int) -> float | None:
    """A share; None of nothing."""
    return round(part / whole, 6) if whole else None


def _share(share: Share, whole: int) -> ShareView:
    return ShareView(
        share.name, share.calls, share_of(share.calls, whole) or 0.0, usd(share.cost_nano) or "0", share.cost_unknown
    )


def target_report(target: str, state: str, figures: TargetFigures, period: Period) -> TargetReport:
    """The report from its figures. `state` is the approval state in the current revision, empty when not registered."""
    return TargetReport(
        target,
        bool(state),
        state,
        iso(period.since_ns),
        iso(period.until_ns),
        TrafficView(
            figures.calls,
            share_of(figures.calls, figures.calls_of_all_targets),
            {name: [_share(row, figures.calls) for row in rows] for name, rows in figures.breakdowns.items()},
            [AttemptsView(a.kind, a.failure, a.attempts, usd(a.cost_nano) or "0") for a in figures.attempts],
        ),
        _cost(figures),
        _quality(figures),
    )


def _cost(figures: TargetFigures) -> CostView:
    unknown = sum(figures.cost_unknown.values())
    known = figures.calls - unknown
    good = figures.outcomes.get(str(Outcome.OK), 0)
    return CostView(
        usd(figures.cost_nano) or "0",
        figures.cost_nano,
        usd(figures.cost_nano // known) if known else None,
        # Failed calls cost too, and somebody pays for them: they are in the numerator on purpose.
        usd(figures.cost_nano // good) if good and known else None,
        unknown,
        figures.cost_unknown,
        figures.input_tokens,
        figures.output_tokens,
    )


def _quality(figures: TargetFigures) -> QualityView:
    failed = figures.outcomes.get(str(Outcome.FAILED), 0) + figures.outcomes.get(str(Outcome.INTERRUPTED), 0)
    return QualityView(
        NO_EVALUATIONS,
        figures.outcomes,
        share_of(failed, figures.calls),
        figures.errors,
        figures.drift,
        figures.reported_models,
        figures.finish_reasons.get("length", 0),
        figures.finish_reasons,
        {name: ms(value) or 0.0 for name, value in figures.latency_us.items()},
        {name: ms(value) or 0.0 for name, value in figures.first_token_us.items()},
    )


def coverage_report(figures: CoverageFigures, period: Period) -> CoverageView:
    """Coverage from its figures."""
    parts = (figures.covered, figures.refused, figures.unregistered, figures.unknown)
    named = sum(part.calls for part in parts)
    spend = sum(part.cost_nano for part in parts)
    return CoverageView(
        iso(period.since_ns),
        iso(period.until_ns),
        named,
        share_of(figures.covered.calls, named),
        share_of(figures.covered.cost_nano, spend),
        _share(figures.covered, named),
        _share(figures.refused, named),
        _share(figures.unregistered, named),
        _share(figures.unknown, named),
        figures.unnamed.calls,
        [_share(row, named) for row in figures.unregistered_names],
        [_share(row, named) for row in figures.unknown_names],
    )
