"""How the admin API writes values: times as ISO 8601 in UTC, durations in milliseconds, money as decimal dollars."""

from __future__ import annotations

from datetime import UTC, datetime

from pointsman.core.money import format_usd


def iso(nanoseconds: int) -> str:
    """A wall-clock time as people read it and programs sort it: 2026-11-23T10:00:00.123Z."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def ms(microseconds: int | None) -> float | None:
    """Milliseconds."""
    return None if microseconds is None else microseconds / 1000


def usd(nano: int | None) -> str | None:
    """Dollars as decimal text."""
    return None if nano is None else format_usd(nano)
