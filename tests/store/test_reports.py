"""The figures behind the reports, on a small set of calls that can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.core.record import Attempt, AttemptKind, Outcome, RouteKind
from pointsman.store.reports import AttemptShare, Period, Share, coverage_figures, target_figures
from pointsman.store.store import Store
from tests.store.making import ECONOMY, PREMIUM, START_NS, new_store, record, refused
from tests.store.test_calls import write

ALL = Period(START_NS, START_NS + 10**12)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = new_store(tmp_path)
    failed = Attempt(PREMIUM, AttemptKind.PRIMARY, 0, 100, status=503, failure="server_error", cost_nano=7)
    saved = Attempt(ECONOMY, AttemptKind.FALLBACK, 200, 300, status=200, cost_nano=3)
    write(
        made,
        *(record(n, cost_nano=100, duration_us=(n + 1) * 1000) for n in range(8)),
        record(8, cost_nano=None, cost_reason="no_usage", key="k2", workflow="w2", drift=True, finish_reason="length"),
        record(9, outcome=Outcome.FAILED, status=502, error="upstream_error", cost_nano=0, reported_model=""),
        record(10, target=ECONOMY, attempts=(failed, saved), cost_nano=10),
        refused(11),
        refused(12),
        record(13, requested="raw-name", route_kind=RouteKind.UNREGISTERED, target="p:raw-name", cost_nano=None),
        record(14, target="", order=(), outcome=Outcome.REFUSED, status=422, error="no_eligible_target", cost_nano=0),
        refused(15, requested=""),
    )
    return made


def test_traffic_cost_and_quality_of_a_target(store: Store) -> None:
    with store.read() as connection:
        figures = target_figures(connection, PREMIUM, ALL)
    assert (figures.calls, figures.calls_of_all_targets) == (10, 12)
    assert figures.outcomes == {"ok": 9, "failed": 1}
    assert figures.errors == {"upstream_error": 1}
    assert figures.cost_nano == 800
    assert figures.cost_unknown == {"no_usage": 1}
    assert figures.drift == 1
    assert figures.finish_reasons == {"stop": 9, "length": 1}
    assert figures.reported_models == {"gpt-4o-2024-08-06": 9}
    assert figures.breakdowns["workflow"] == [Share("support-answer", 9, 800, 0), Share("w2", 1, 0, 1)]
    assert figures.breakdowns["key"] == [Share("support-bot", 9, 800, 0), Share("k2", 1, 0, 1)]


def test_attempts_count_those_that_failed_for_a_call_another_target_answered(store: Store) -> None:
    with store.read() as connection:
        assert AttemptShare("primary", "server_error", 1, 7) in target_figures(connection, PREMIUM, ALL).attempts
        assert target_figures(connection, ECONOMY, ALL).attempts == [AttemptShare("fallback", "", 1, 3)]


def test_latencies_are_measured_values_of_successful_calls(store: Store) -> None:
    with store.read() as connection:
        latency = target_figures(connection, PREMIUM, ALL).latency_us
    # 1000 … 8000 and one of 1100, in order: the 5th of nine is the median.
    assert latency == {"p50": 4000, "p95": 8000, "p99": 8000}


def test_a_period_leaves_out_what_lies_outside(store: Store) -> None:
    with store.read() as connection:
        figures = target_figures(connection, PREMIUM, Period(START_NS + 3_000_000, START_NS + 5_000_000))
        nothing = target_figures(connection, PREMIUM, Period(0, 1))
    assert figures.calls == 2
    assert (nothing.calls, nothing.latency_us, nothing.cost_nano) == (0, {}, 0)


def test_coverage_tells_covered_refused_unregistered_unknown_and_unnamed_apart(store: Store) -> None:
    with store.read() as connection:
        found = coverage_figures(connection, ALL)
    assert found.covered == Share("covered", 11, 810, 1)
    assert found.refused.calls == 1
    assert found.unregistered.calls == 1
    assert found.unknown.calls == 2
    assert found.unnamed.calls == 1
    assert found.unknown_names == [Share("gtp-4o", 2, 0, 0)]
    assert [share.name for share in found.unregistered_names] == ["raw-name"]
