"""How far each spool segment is stored. Written in the transaction that stores its records: that is what makes
ingest exact, whenever the process dies."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from pointsman.store.store import Store, insert_rows_sql
from pointsman.store.tables import spool_progress


class Progress:
    """Reads and writes the positions of segments (bytes, by file name)."""

    def __init__(self, store: Store) -> None:
        self._set = insert_rows_sql(
            store, "spool_progress", ("segment", "position"), '(segment) DO UPDATE SET "position" = excluded."position"'
        )

    def all(self, connection: Connection) -> dict[str, int]:
        """Every known position."""
        rows = connection.execute(select(spool_progress.c.segment, spool_progress.c.position))
        return {row.segment: row.position for row in rows}

    def set(self, connection: Connection, positions: dict[str, int]) -> None:
        """Note how far segments are stored."""
        if positions:
            connection.exec_driver_sql(self._set, list(positions.items()))

    def forget(self, connection: Connection, segments: Iterable[str]) -> None:
        """Drop the positions of segments that no longer exist."""
        for segment in segments:
            connection.execute(delete(spool_progress).where(spool_progress.c.segment == segment))
