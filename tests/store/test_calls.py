"""Calls as rows: what is written, once, and how it is found again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from pointsman.core.record import Attempt, AttemptKind, CallRecord, Outcome
from pointsman.store.call_list import CallFilter, call_lines
from pointsman.store.calls import (
    ATTEMPT_COLUMNS,
    CALL_COLUMNS,
    CallWriter,
    attempt_rows,
    call_record,
    call_row,
    stored_ids,
)
from pointsman.store.store import Store
from pointsman.store.tables import attempts, calls
from tests.store.making import ECONOMY, PREMIUM, START_NS, new_store, record, refused


def write(store: Store, *records: CallRecord) -> None:
    rows = [call_row(r, msgspec.msgpack.encode(r)) for r in records]
    with store.write() as connection:
        CallWriter(store).write(connection, rows, [row for r in records for row in attempt_rows(r)])


def test_a_row_has_the_fields_of_its_record(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    made = record(7, drift=True, stream=True, first_token_us=400, task="t-1", error="e")
    write(store, made)
    with store.read() as connection:
        row = connection.execute(select(calls)).one()._asdict()
        assert call_record(connection, made.call_id) == made
    for column in CALL_COLUMNS:
        if column in ("record", "attempts") or column.endswith("_tokens"):
            continue
        assert row[column] == getattr(made, column), column
    assert (row["input_tokens"], row["output_tokens"]) == (200, 100)
    assert (row["cache_read_tokens"], row["cache_write_tokens"], row["reasoning_tokens"]) == (10, 0, 5)
    assert row["attempts"] == 1


def test_attempts_are_rows_in_their_order_with_their_own_times(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    tried = (
        Attempt(PREMIUM, AttemptKind.PRIMARY, 10, 500, status=503, failure="server_error", cost_reason="no_usage"),
        Attempt(PREMIUM, AttemptKind.RETRY, 700, 600, status=503, failure="server_error", cost_reason="no_usage"),
        Attempt(ECONOMY, AttemptKind.FALLBACK, 1500, 900, status=200, cost_nano=5),
    )
    write(store, record(1, attempts=tried))
    with store.read() as connection:
        rows = [row._asdict() for row in connection.execute(select(attempts).order_by(attempts.c.n))]
    assert [row["kind"] for row in rows] == ["primary", "retry", "fallback"]
    assert [row["started_ns"] - START_NS for row in rows] == [1_010_000, 1_700_000, 2_500_000]
    assert [row["cost_nano"] for row in rows] == [None, None, 5]
    assert set(rows[0]) == set(ATTEMPT_COLUMNS)


def test_an_unknown_cost_and_unknown_usage_are_null(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    write(store, record(1, cost_nano=None, cost_reason="no_price", usage=None))
    with store.read() as connection:
        row = connection.execute(select(calls.c.cost_nano, calls.c.cost_reason, calls.c.input_tokens)).one()
    assert tuple(row) == (None, "no_price", None)


def test_a_call_is_stored_once_and_its_first_record_stays(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    write(store, record(1))
    write(store, record(1, status=500, outcome=Outcome.FAILED), record(2))
    with store.read() as connection:
        found = connection.execute(select(calls.c.call_id, calls.c.outcome).order_by(calls.c.id)).all()
    assert [tuple(row) for row in found] == [("call-00000001", "ok"), ("call-00000002", "ok")]


def test_a_late_record_takes_the_place_of_an_interrupted_one_and_never_the_other_way(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    write(store, record(1, outcome=Outcome.INTERRUPTED, status=0))
    write(store, record(1))
    write(store, record(1, outcome=Outcome.INTERRUPTED, status=0))
    with store.read() as connection:
        found = connection.execute(select(calls.c.outcome, calls.c.status)).one()
        whole = call_record(connection, "call-00000001")
    assert tuple(found) == ("ok", 200)
    assert whole is not None
    assert whole.outcome is Outcome.OK


def test_stored_ids_says_which_are_there_however_many_are_asked_for(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    write(store, record(1), record(1200))
    asked = [f"call-{n:08d}" for n in range(1300)]
    with store.read() as connection:
        assert stored_ids(connection, asked) == {"call-00000001", "call-00001200"}


def listed(store: Store, wanted: CallFilter, limit: int = 100) -> list[str]:
    with store.read() as connection:
        return [line.call_id[-2:] for line in call_lines(connection, wanted, limit)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CallFilter(), ["04", "03", "02", "01", "00"]),
        (CallFilter(since_ns=START_NS + 2_000_000), ["04", "03", "02"]),
        (CallFilter(until_ns=START_NS + 2_000_000), ["01", "00"]),
        (CallFilter(target=ECONOMY), ["02"]),
        (CallFilter(workflow="other"), ["01"]),
        (CallFilter(key="k2", team="t2"), ["03"]),
        (CallFilter(outcome="refused"), ["04"]),
        (CallFilter(requested="gtp-4o"), ["04"]),
        (CallFilter(task="task-1"), ["00"]),
        (CallFilter(target="nobody"), []),
    ],
)
def test_filters(tmp_path: Path, wanted: CallFilter, expected: list[str]) -> None:
    store = new_store(tmp_path)
    write(
        store,
        record(0, task="task-1"),
        record(1, workflow="other"),
        record(2, target=ECONOMY),
        record(3, key="k2", team="t2"),
        refused(4),
    )
    assert listed(store, wanted) == expected


def test_pages_follow_one_another_without_gap_or_repeat_even_among_equal_times(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    write(store, *(record(n, started_ns=START_NS + n // 4) for n in range(23)))
    seen: list[str] = []
    after = None
    with store.read() as connection:
        while page := call_lines(connection, CallFilter(), 5, after):
            seen += [line.call_id for line in page]
            after = (page[-1].started_ns, page[-1].id)
    assert sorted(seen) == [f"call-{n:08d}" for n in range(23)]
    assert len(seen) == 23
