"""Call records as rows. Built for ingest: plain tuples, one statement a table, whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from pointsman.core.record import CallRecord, Outcome
from pointsman.store.store import Store, insert_rows_sql
from pointsman.store.tables import attempts, calls

CALL_COLUMNS = tuple(column.name for column in calls.columns if column.name != "id")
ATTEMPT_COLUMNS = tuple(column.name for column in attempts.columns)

Row = tuple[Any, ...]
_decode = msgspec.msgpack.Decoder(CallRecord).decode


def call_row(record: CallRecord, packed: bytes) -> Row:
    """The row of a call, in the order of CALL_COLUMNS. `packed` is its MessagePack."""
    usage = record.usage
    tokens: Row = (
        (None, None, None, None, None)
        if usage is None
        else (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        )
    )
    # `_value_`: the driver is several times slower with an enum member than with its plain string.
    return (
        record.call_id,
        record.started_ns,
        record.revision,
        record.worker,
        record.key,
        record.team,
        record.endpoint,
        record.requested,
        record.route_kind._value_,
        record.workflow,
        record.policy,
        record.target,
        record.reported_model,
        record.drift,
        record.stream,
        record.outcome._value_,
        record.status,
        record.error,
        *tokens,
        record.cost_nano,
        record.cost_reason,
        record.duration_us,
        record.first_token_us,
        record.finish_reason,
        len(record.attempts),
        record.task,
        packed,
    )


def attempt_rows(record: CallRecord) -> list[Row]:
    """The rows of a call's attempts, in the order of ATTEMPT_COLUMNS."""
    rows: list[Row] = []
    for n, attempt in enumerate(record.attempts):
        usage = attempt.usage
        rows.append(
            (
                record.call_id,
                n,
                record.started_ns + attempt.started_us * 1000,
                attempt.target,
                attempt.kind._value_,
                attempt.failure,
                attempt.status,
                None if usage is None else usage.input_tokens,
                None if usage is None else usage.output_tokens,
                attempt.cost_nano,
                attempt.cost_reason,
                attempt.duration_us,
                attempt.first_token_us,
            )
        )
    return rows


class CallWriter:
    """Writes rows of calls, each call once: a call that is stored already stays as it is.

    The one exception is a call that was stored as interrupted because its writer seemed dead: its own final record,
    should it come after all, takes its place.
    """

    def __init__(self, store: Store) -> None:
        sets = ", ".join(f'"{c}" = excluded."{c}"' for c in CALL_COLUMNS if c != "call_id")
        late = f"calls.outcome = '{Outcome.INTERRUPTED}' AND excluded.outcome <> '{Outcome.INTERRUPTED}'"
        self._calls = insert_rows_sql(store, "calls", CALL_COLUMNS, f"(call_id) DO UPDATE SET {sets} WHERE {late}")
        sets = ", ".join(f'"{c}" = excluded."{c}"' for c in ATTEMPT_COLUMNS if c not in ("call_id", "n"))
        self._attempts = insert_rows_sql(store, "attempts", ATTEMPT_COLUMNS, f"(call_id, n) DO UPDATE SET {sets}")

    def write(self, connection: Connection, call_rows: list[Row], attempt_rows: list[Row]) -> None:
        """Write the rows inside the caller's transaction."""
        if call_rows:
            connection.exec_driver_sql(self._calls, call_rows)
        if attempt_rows:
            connection.exec_driver_sql(self._attempts, attempt_rows)


_STORED = select(calls.c.call_id).where(calls.c.call_id.in_(bindparam("ids", expanding=True)))
_CHUNK = 500


def stored_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that are stored."""
    found: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        found.update(connection.execute(_STORED, {"ids": ids[start : start + _CHUNK]}).scalars())
    return found


def call_record(connection: Connection, call_id: str) -> CallRecord | None:
    """The whole record of a call; None when there is none."""
    packed = connection.execute(select(calls.c.record).where(calls.c.call_id == call_id)).scalar_one_or_none()
    return None if packed is None else _decode(packed)
