"""The first tables: revisions, audit, calls, attempts, spool progress."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _required(name: str, kind: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Create the tables."""
    _registry()
    _calls()
    op.create_table(
        "spool_progress",
        sa.Column("segment", sa.Text, primary_key=True),
        _required("position", sa.BigInteger),
    )


def _registry() -> None:
    op.create_table(
        "revisions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        _required("hash", sa.String(64)),
        _required("author", sa.Text),
        _required("reason", sa.Text),
        _required("source", sa.Text),
        _required("created_ns", sa.BigInteger),
        _required("text_hash", sa.String(64)),
        _required("text", sa.LargeBinary),
        _required("document", sa.LargeBinary),
        _required("facts", sa.LargeBinary),
    )
    op.create_table(
        "audit",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        _required("at_ns", sa.BigInteger),
        _required("who", sa.Text),
        _required("what", sa.Text),
        _required("result", sa.Text),
        _required("detail", sa.Text),
        sa.Column("from_revision", sa.Integer),
        sa.Column("to_revision", sa.Integer),
    )


def _calls() -> None:
    texts = ("worker", "key", "team", "endpoint", "requested", "route_kind", "workflow", "policy", "target")
    tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    op.create_table(
        "calls",
        sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
        _required("call_id", sa.Text),
        _required("started_ns", sa.BigInteger),
        _required("revision", sa.Integer),
        *(_required(name, sa.Text) for name in texts),
        _required("reported_model", sa.Text),
        _required("drift", sa.Boolean),
        _required("stream", sa.Boolean),
        _required("outcome", sa.Text),
        _required("status", sa.Integer),
        _required("error", sa.Text),
        *(sa.Column(name, sa.BigInteger) for name in tokens),
        sa.Column("cost_nano", sa.BigInteger),
        _required("cost_reason", sa.Text),
        _required("duration_us", sa.BigInteger),
        sa.Column("first_token_us", sa.BigInteger),
        _required("finish_reason", sa.Text),
        _required("attempts", sa.Integer),
        _required("task", sa.Text),
        _required("record", sa.LargeBinary),
        sa.UniqueConstraint("call_id", name="calls_call_id"),
    )
    op.create_index("calls_started", "calls", ["started_ns"])
    op.create_index("calls_target_started", "calls", ["target", "started_ns"])
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        _required("started_ns", sa.BigInteger),
        _required("target", sa.Text),
        _required("kind", sa.Text),
        _required("failure", sa.Text),
        _required("status", sa.Integer),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cost_nano", sa.BigInteger),
        _required("cost_reason", sa.Text),
        _required("duration_us", sa.BigInteger),
        sa.Column("first_token_us", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_target_started", "attempts", ["target", "started_ns"])
