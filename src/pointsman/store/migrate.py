"""Bringing a store to this version, or refusing it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from pointsman.store.store import Store, StoreError, StoreUnusable

HEAD = "0001"
"""The newest migration. A test holds it equal to the scripts, so that a store that is up to date costs no Alembic."""

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(store: Store) -> None:
    """Bring `store` to `HEAD`. Raises StoreUnusable (newer store, failed migration) and StoreUnavailable."""
    with store.read() as connection:
        version = stored_version(connection)
    if version == HEAD:
        return
    try:
        with store.write() as connection:
            _upgrade(connection, version)
    except (SQLAlchemyError, StoreError) as error:
        if isinstance(error, StoreUnusable):
            raise
        raise StoreUnusable(
            f"the store at {store.name} could not be brought from version {version or 'none'} to {HEAD} "
            f"and was left as it was: {error}"
        ) from error


def stored_version(connection: Connection) -> str | None:
    """The version the store says it has; None for a new, empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection, version: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise StoreUnusable(
            f"the store has version {version}, which this Pointsman (store version {HEAD}) does not know. "
            "It was written by a newer one: upgrade Pointsman, or give it another --data-dir"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
