"""The tables. Their migrations are in `migrations/versions`; a test holds the two equal.

Times are nanoseconds (wall clock), durations microseconds, money nano-dollars; None is "unknown", never zero.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

# SQLite gives row numbers only to a column of exactly the type INTEGER.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")

revisions = Table(
    "revisions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("text", LargeBinary, nullable=False),  # the file as it was sent, zlib
    Column("document", LargeBinary, nullable=False),  # as it is published (core.document), zlib
    Column("facts", LargeBinary, nullable=False),  # JSON, zlib
)

audit = Table(
    "audit",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("from_revision", Integer),
    Column("to_revision", Integer),
)

calls = Table(
    "calls",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("call_id", Text, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("requested", Text, nullable=False),
    Column("route_kind", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reported_model", Text, nullable=False),
    Column("drift", Boolean, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_nano", BigInteger),
    Column("cost_reason", Text, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Column("finish_reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("task", Text, nullable=False),
    Column("record", LargeBinary, nullable=False),  # MessagePack of the whole core.record.CallRecord
    UniqueConstraint("call_id", name="calls_call_id"),
    Index("calls_started", "started_ns"),
    Index("calls_target_started", "target", "started_ns"),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("target", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_nano", BigInteger),
    Column("cost_reason", Text, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Index("attempts_target_started", "target", "started_ns"),
    sqlite_with_rowid=False,
)

spool_progress = Table(
    "spool_progress",
    METADATA,
    Column("segment", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
