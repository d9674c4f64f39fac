"""Opening, migrating and refusing a store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from pointsman.store import migrate as migration
from pointsman.store.migrate import HEAD, SCRIPTS, migrate, stored_version
from pointsman.store.store import StoreRejected, StoreUnavailable, StoreUnusable, connect
from pointsman.store.tables import METADATA
from tests.store.making import new_store


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert set(inspect(connection).get_table_names()) == {*METADATA.tables, "alembic_version"}


def test_a_migrated_store_is_left_as_it_is(tmp_path: Path) -> None:
    new_store(tmp_path).close()
    before = (tmp_path / "pointsman.db").read_bytes()
    new_store(tmp_path).close()
    assert (tmp_path / "pointsman.db").read_bytes() == before


def test_a_store_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnusable, match="newer"):
        migrate(store)
    with store.read() as connection:
        assert stored_version(connection) == "9999"


def test_a_failed_migration_stops_the_start_and_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "scripts"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text((SCRIPTS / "env.py").read_text())
    (scripts / "versions" / "v1.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nrevision = 'x'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('half', sa.Column('a', sa.Integer))\n    op.execute('nonsense')\n"
    )
    monkeypatch.setattr(migration, "SCRIPTS", scripts)
    store = connect(tmp_path / "pointsman.db")
    with pytest.raises(StoreUnusable, match="left as it was"):
        migrate(store)
    with store.read() as connection:
        assert inspect(connection).get_table_names() == []


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "pointsman.db").write_bytes(b"this is no database at all" * 400)
    with pytest.raises(StoreUnusable, match="damaged"):
        new_store(tmp_path)


def test_a_locked_store_is_unavailable_and_not_waited_for_long(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreUnavailable, match="locked"), store.write():
            pass
    finally:
        other.close()
    with store.write():
        pass


def test_a_failing_block_writes_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path)

    def fail_in_the_middle() -> None:
        with store.write() as connection:
            connection.execute(text("INSERT INTO spool_progress VALUES ('a', 1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    with store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM spool_progress")).scalar() == 0


def test_rows_that_can_never_be_stored_are_told_from_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    for values in ("('a', NULL)", "('a', 1), ('a', 2)"):
        with pytest.raises(StoreRejected), store.write() as connection:
            connection.execute(text(f"INSERT INTO spool_progress VALUES {values}"))


@pytest.mark.parametrize(
    "address", ["postgresql://user:hunter2@db/pointsman", "nonsense", "mysql+nope://u:hunter2@h/d"]
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(StoreUnusable) as refused:
        connect(address)
    assert "POINTSMAN_DATABASE_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_errors_repeat_no_values(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with pytest.raises(StoreRejected) as refused, store.write() as connection:
        connection.exec_driver_sql("INSERT INTO spool_progress VALUES (?, ?)", [("canary-secret", None)])
    assert "canary-secret" not in str(refused.value)
