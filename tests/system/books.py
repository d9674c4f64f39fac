"""The proof that records and answers agree: each answered call is on record once, as what it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pointsman.cli.client import ClientError
from tests.system.caller import Answer
from tests.system.stage import Served, until

REFUSED = {"refused", "failed"}


class Row(msgspec.Struct, frozen=True):
    """A call as the store has it."""

    call_id: str
    outcome: str
    status: int
    revision: int
    target: str
    stream: bool
    attempts: int
    cost_nano: int | None


_COLUMNS = ", ".join(Row.__struct_fields__)


def rows(served: Served) -> dict[str, Row]:
    """Every call in the store. None is there twice."""
    found = [Row(*row) for row in served.sql(f"SELECT {_COLUMNS} FROM calls")]
    assert len({row.call_id for row in found}) == len(found)
    return {row.call_id: row for row in found}


def settle(served: Served, answers: Iterable[Answer]) -> None:
    """Wait until the spool has been read to its end and every answer that we know of is in the store."""
    wanted = {answer.call_id for answer in answers if answer.call_id}

    def read_up() -> bool:
        try:
            ingest = served.admin().get("/status")["ingest"]
        except ClientError:
            return False  # it is just starting
        return not (ingest["behind_bytes"] or ingest["open_streams"] or ingest["problem"])

    until(read_up, "the spool is read to its end")
    until(lambda: wanted <= rows(served).keys(), "every known call is in the store")


def prove(served: Served, answers: list[Answer]) -> dict[str, Row]:
    """Every answer is on record exactly once with the right outcome, and every sum is the sum of its rows."""
    settle(served, answers)
    stored = rows(served)
    known = [answer for answer in answers if answer.call_id]
    assert [(a.status, a.body) for a in answers if a.whole and not a.call_id] == []
    assert len({answer.call_id for answer in known}) == len(known), "two answers had the same call id"
    wrong = [(a.call_id, a.status, a.events, stored[a.call_id]) for a in known if not _agrees(a, stored[a.call_id])]
    assert not wrong, wrong
    # A call whose answer was lost to the last byte may have been recorded or not; there can be no others.
    lost = sum(not answer.status for answer in answers)
    assert len(stored) - len(known) <= lost
    _prove_sums(served, stored)
    _prove_spool(served)
    return stored


def _agrees(answer: Answer, row: Row) -> bool:
    if not answer.whole:
        # Cut off. The end may have been on its way when its writer died, but not when most of it was still to come.
        return row.outcome == "interrupted" or (row.outcome == "ok" and answer.events > 4)
    if answer.status >= 400:
        return row.outcome in REFUSED and row.status == answer.status
    cost = answer.headers.get("x-pointsman-cost-usd")
    told = cost is None or row.cost_nano == round(float(cost) * 1e9)
    return row.outcome == "ok" and row.status == 200 and row.cost_nano is not None and told


def _prove_sums(served: Served, stored: dict[str, Row]) -> None:
    attempts: dict[str, list[Any]] = {}
    for call_id, cost in served.sql("SELECT call_id, cost_nano FROM attempts"):
        attempts.setdefault(call_id, []).append(cost)
    assert attempts.keys() <= stored.keys()
    for row in stored.values():
        costs = attempts.get(row.call_id, [])
        assert len(costs) == row.attempts, row
        assert row.cost_nano == (None if None in costs else sum(costs)), row
    for target in {row.target for row in stored.values()} - {""}:
        mine = [row for row in stored.values() if row.target == target]
        report = served.admin().get(f"/report/targets/{target}", since="24h")
        assert report["traffic"]["calls"] == len(mine)
        assert report["cost"]["total_nano"] == sum(row.cost_nano or 0 for row in mine)


def _prove_spool(served: Served) -> None:
    """Only what living workers write to is left, and all of it is read."""
    living = {status.worker for status in served.statuses()}
    read = {name: int(position) for name, position in served.sql("SELECT segment, position FROM spool_progress")}

    def others() -> list[str]:
        return [p.name for p in served.places.spool.glob("*.spool") if p.name.rpartition("-")[0] not in living]

    until(lambda: not others(), f"finished segments are deleted: {others()}")
    assert not (served.places.spool / "bad").exists()
    for path in served.places.spool.glob("*.spool"):
        assert read.get(path.name, 0) == path.stat().st_size
