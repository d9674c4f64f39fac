"""The list of calls: filtered, newest first, page by page."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, select, tuple_

from pointsman.store.tables import calls


class CallFilter(msgspec.Struct, frozen=True):
    """Which calls. Empty and None mean any; `since_ns` is included, `until_ns` is not."""

    since_ns: int | None = None
    until_ns: int | None = None
    target: str = ""
    workflow: str = ""
    key: str = ""
    team: str = ""
    outcome: str = ""
    requested: str = ""
    task: str = ""


class CallLine(msgspec.Struct, frozen=True):
    """A call as a list shows it. The fields are columns of the table `calls`."""

    id: int
    call_id: str
    started_ns: int
    revision: int
    key: str
    team: str
    endpoint: str
    requested: str
    route_kind: str
    workflow: str
    policy: str
    target: str
    reported_model: str
    drift: bool
    stream: bool
    outcome: str
    status: int
    error: str
    input_tokens: int | None
    output_tokens: int | None
    cost_nano: int | None
    cost_reason: str
    duration_us: int
    first_token_us: int | None
    finish_reason: str
    attempts: int
    task: str


_LINE = [calls.c[name] for name in CallLine.__struct_fields__]
_EQUAL = ("target", "workflow", "key", "team", "outcome", "requested", "task")


def conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """The filter as conditions on the table `calls`."""
    found: list[ColumnElement[bool]] = [
        calls.c[name] == getattr(wanted, name) for name in _EQUAL if getattr(wanted, name)
    ]
    if wanted.since_ns is not None:
        found.append(calls.c.started_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        found.append(calls.c.started_ns < wanted.until_ns)
    return found


def call_lines(
    connection: Connection, wanted: CallFilter, limit: int, after: tuple[int, int] | None = None
) -> list[CallLine]:
    """Up to `limit` calls, newest first; `after` is (started_ns, id) of the last line of the page before."""
    query = select(*_LINE).where(*conditions(wanted))
    if after is not None:
        # The plain condition beside the pair lets SQLite use the index on the time.
        query = query.where(calls.c.started_ns <= after[0], tuple_(calls.c.started_ns, calls.c.id) < tuple_(*after))
    query = query.order_by(calls.c.started_ns.desc(), calls.c.id.desc()).limit(limit)
    rows: list[Any] = list(connection.execute(query))
    return [CallLine(*row) for row in rows]
