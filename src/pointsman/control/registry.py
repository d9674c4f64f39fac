"""The current registry as the admin API reads it: decoded once per revision, when somebody asks."""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from pointsman.core.document import Document
from pointsman.store.revisions import RevisionInfo, latest, revision_document, revision_facts
from pointsman.store.store import Store


class Registry(msgspec.Struct, frozen=True):
    """A revision with its content. `facts` is what the compiler said of where each fact comes from."""

    info: RevisionInfo
    document: Document
    facts: Any


class CurrentRegistry:
    """Keeps the newest revision decoded. Safe for several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: Registry | None = None

    def get(self) -> Registry | None:
        """The newest revision; None when there is none yet. Raises StoreError."""
        with self._lock, self._store.read() as connection:
            info = latest(connection)
            if info is None:
                return None
            if self._kept is None or self._kept.info.number != info.number:
                facts = msgspec.json.decode(revision_facts(connection, info.number))
                self._kept = Registry(info, revision_document(connection, info.number), facts)
            return self._kept
