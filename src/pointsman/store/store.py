"""The store: one database, opened once, with a way to read and a way to write.

StoreError
├─ StoreUnavailable     locked, disk full, unreachable: worth trying again
└─ StoreUnusable        damaged, of a newer version, a migration that failed: a person has to look
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_MS = 2000
_CACHE_KB = 4000
_WRITES = "pointsman_writes"


class StoreError(Exception):
    """Something is wrong with the store. The message names what, without the address's password."""


class StoreUnavailable(StoreError):  # noqa: N818 (reads as what it says)
    """The store cannot be used now: locked, disk full, unreachable. Worth trying again."""


class StoreRejected(StoreError):  # noqa: N818 (reads as what it says)
    """Rows that the database refuses for what they hold (a number beyond 64 bits, a broken constraint)."""


class StoreUnusable(StoreError):  # noqa: N818 (reads as what it says)
    """The store cannot be used by this version: damaged, newer, or a migration failed."""


class Store:
    """A database of ours. Safe for several threads; one of them writes at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = threading.Lock()

    @property
    def name(self) -> str:
        """Where the store is, without a password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises StoreUnavailable, StoreUnusable."""
        with mapped_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends well. Raises StoreUnavailable, StoreUnusable."""
        with mapped_errors(), self._writing, self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the driver's errors into ours. Statements and their values are left out of the message."""
    try:
        yield
    except (IntegrityError, DataError, InterfaceError, OverflowError) as error:
        raise StoreRejected(f"the store refuses these rows ({_said(error)})") from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(
            error.orig, sqlite3.OperationalError | sqlite3.ProgrammingError
        ):
            raise StoreUnusable(f"the store is damaged ({_said(error)})") from error
        raise StoreUnavailable(f"the store cannot be used now ({_said(error)})") from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the store cannot be used now ({type(error).__name__})") from error


def _said(error: Exception) -> str:
    """The driver's own words, without the statement and its values."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(origin).__name__}: {origin}".splitlines()[0]


def connect(database: Path | str) -> Store:
    """A store over a SQLite file (Path) or at a database address (str). Nothing is opened yet.

    Raises StoreUnusable for an address that cannot be read or whose driver is missing.
    """
    try:
        url = make_url(database if isinstance(database, str) else f"sqlite:///{database}")
        engine = create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        # The address itself may hold a password: it is not repeated.
        raise StoreUnusable(
            "POINTSMAN_DATABASE_URL is no database address this installation can use "
            f"({type(error).__name__}); leave it unset for SQLite in the data directory"
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return Store(engine)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        # Transactions are begun by `_on_begin` alone: the driver's own implicit ones begin too late to be safe.
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        # A spool segment is deleted once its records are committed, so a commit has to survive a power loss.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert_rows_sql(store: Store, table: str, columns: tuple[str, ...], conflict: str) -> str:
    """An INSERT for `exec_driver_sql` with lists of tuples, in the placeholders of the store's driver."""
    mark = "?" if store.engine.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join([mark] * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT {conflict}"  # noqa: S608 (our own names)
