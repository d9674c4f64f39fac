"""What the three questions about a target are answered from: counts, sums and order statistics over a period.

Money is in nano-dollars. A sum covers the calls whose cost is known; the others are counted beside it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from pointsman.core.record import Outcome, RouteKind
from pointsman.store.tables import attempts, calls

TOP = 20
"""Rows of a breakdown; the rest is left out, the largest come first."""


class Period(msgspec.Struct, frozen=True):
    """Nanoseconds since 1970; `since_ns` is included, `until_ns` is not."""

    since_ns: int
    until_ns: int


class Share(msgspec.Struct, frozen=True):
    """One row of a breakdown."""

    name: str
    calls: int
    cost_nano: int
    cost_unknown: int


class AttemptShare(msgspec.Struct, frozen=True):
    """Attempts at a target of one kind (primary, retry, fallback) and one failure (empty: it succeeded)."""

    kind: str
    failure: str
    attempts: int
    cost_nano: int


class TargetFigures(msgspec.Struct, frozen=True):
    """Figures of the calls that a target answered, or was the last to fail."""

    calls: int = 0
    calls_of_all_targets: int = 0
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    drift: int = 0
    reported_models: dict[str, int] = {}
    finish_reasons: dict[str, int] = {}
    cost_nano: int = 0
    cost_unknown: dict[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    latency_us: dict[str, int] = {}
    first_token_us: dict[str, int] = {}
    breakdowns: dict[str, list[Share]] = {}
    attempts: list[AttemptShare] = []


BREAKDOWNS = ("workflow", "key", "team", "requested", "revision")
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def _within(table: Any, period: Period) -> ColumnElement[bool]:
    return and_(table.c.started_ns >= period.since_ns, table.c.started_ns < period.until_ns)


def target_figures(connection: Connection, target: str, period: Period) -> TargetFigures:
    """Everything the report on one target shows."""
    mine = and_(calls.c.target == target, _within(calls, period))
    count, cost, tokens_in, tokens_out, drift = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(calls.c.cost_nano), 0),
            func.coalesce(func.sum(calls.c.input_tokens), 0),
            func.coalesce(func.sum(calls.c.output_tokens), 0),
            func.coalesce(func.sum(case((calls.c.drift, 1), else_=0)), 0),
        ).where(mine)
    ).one()
    everything = connection.execute(select(func.count()).where(_within(calls, period), calls.c.target != "")).scalar()
    return TargetFigures(
        calls=count,
        calls_of_all_targets=everything or 0,
        outcomes=_counts(connection, "outcome", mine),
        errors=_counts(connection, "error", and_(mine, calls.c.error != "")),
        drift=int(drift),
        reported_models=_counts(connection, "reported_model", and_(mine, calls.c.reported_model != "")),
        finish_reasons=_counts(connection, "finish_reason", and_(mine, calls.c.finish_reason != "")),
        cost_nano=int(cost),
        cost_unknown=_counts(connection, "cost_reason", and_(mine, calls.c.cost_nano.is_(None))),
        input_tokens=int(tokens_in),
        output_tokens=int(tokens_out),
        latency_us=_quantiles(connection, "duration_us", and_(mine, calls.c.outcome == str(Outcome.OK))),
        first_token_us=_quantiles(
            connection,
            "first_token_us",
            and_(mine, calls.c.outcome == str(Outcome.OK), calls.c.stream, calls.c.first_token_us.is_not(None)),
        ),
        breakdowns={name: _shares(connection, name, mine) for name in BREAKDOWNS},
        attempts=_attempts(connection, target, period),
    )


def _counts(connection: Connection, column: str, where: ColumnElement[bool]) -> dict[str, int]:
    name = calls.c[column]
    query = select(name, func.count()).where(where).group_by(name).order_by(func.count().desc(), name).limit(TOP)
    return {str(value): count for value, count in connection.execute(query)}


def _shares(connection: Connection, column: str, where: ColumnElement[bool]) -> list[Share]:
    name = calls.c[column]
    query = (
        select(
            name,
            func.count(),
            func.coalesce(func.sum(calls.c.cost_nano), 0),
            func.sum(case((calls.c.cost_nano.is_(None), 1), else_=0)),
        )
        .where(where)
        .group_by(name)
        .order_by(func.count().desc(), name)
        .limit(TOP)
    )
    return [Share(str(value), n, int(cost), int(unknown)) for value, n, cost, unknown in connection.execute(query)]


def _quantiles(connection: Connection, column: str, where: ColumnElement[bool]) -> dict[str, int]:
    """Nearest-rank quantiles: a value that was really measured, in every database alike."""
    total = connection.execute(select(func.count()).where(where)).scalar() or 0
    if not total:
        return {}
    value = calls.c[column]
    found = {}
    for name, share in _QUANTILES.items():
        rank = min(total - 1, max(0, -(-int(share * 100) * total // 100) - 1))
        found[name] = connection.execute(select(value).where(where).order_by(value).offset(rank).limit(1)).scalar_one()
    return found


def _attempts(connection: Connection, target: str, period: Period) -> list[AttemptShare]:
    query = (
        select(attempts.c.kind, attempts.c.failure, func.count(), func.coalesce(func.sum(attempts.c.cost_nano), 0))
        .where(attempts.c.target == target, _within(attempts, period))
        .group_by(attempts.c.kind, attempts.c.failure)
        .order_by(func.count().desc(), attempts.c.kind, attempts.c.failure)
    )
    return [AttemptShare(kind, failure, n, int(cost)) for kind, failure, n, cost in connection.execute(query)]


class CoverageFigures(msgspec.Struct, frozen=True):
    """How much of the traffic came in by registered names.

    `covered`: the name led to a registered target. `refused`: the name is registered, and nothing was allowed to
    serve the call. `unregistered`: forwarded to the provider for observed names. `unknown`: nobody registered the
    name. `unnamed` calls (bad key, unreadable body) asked for nothing and count for nothing.
    """

    covered: Share
    refused: Share
    unregistered: Share
    unknown: Share
    unnamed: Share
    unregistered_names: list[Share]
    unknown_names: list[Share]


def coverage_figures(connection: Connection, period: Period) -> CoverageFigures:
    """Calls and spend by what their requested name was, over a period."""
    registered = calls.c.route_kind.in_([str(k) for k in (RouteKind.WORKFLOW, RouteKind.ALIAS, RouteKind.TARGET)])
    kind = case(
        (calls.c.requested == "", "unnamed"),
        (and_(registered, calls.c.target != ""), "covered"),
        (registered, "refused"),
        else_=calls.c.route_kind,
    )
    query = (
        select(
            kind.label("kind"),
            func.count(),
            func.coalesce(func.sum(calls.c.cost_nano), 0),
            func.sum(case((calls.c.cost_nano.is_(None), 1), else_=0)),
        )
        .where(_within(calls, period))
        .group_by("kind")
    )
    found = {name: Share(name, n, int(cost), int(unknown)) for name, n, cost, unknown in connection.execute(query)}
    return CoverageFigures(
        **{name: found.get(name, Share(name, 0, 0, 0)) for name in ("covered", "refused", "unregistered", "unknown")},
        unnamed=found.get("unnamed", Share("unnamed", 0, 0, 0)),
        unregistered_names=_names(connection, RouteKind.UNREGISTERED, period),
        unknown_names=_names(connection, RouteKind.UNKNOWN, period),
    )


def _names(connection: Connection, kind: RouteKind, period: Period) -> list[Share]:
    where = and_(calls.c.route_kind == str(kind), calls.c.requested != "", _within(calls, period))
    return _shares(connection, "requested", where)
