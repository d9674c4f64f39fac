"""Publishing: the one way a registry changes.

Compile (pure, collects all problems), then rows, audit and next revision in one transaction, then the document on
disk, then the file `current`, which is what gateways look at. A failure before the commit changes nothing. One after
it (a full disk) leaves gateways on the revision they have, is shown as a problem, and is tried again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import msgspec

from pointsman.control.compiling import Compile, Compiled
from pointsman.control.durable import write_durably
from pointsman.core.document import document_hash
from pointsman.core.places import Current, Places
from pointsman.registry.problem import Problem, RegistryInvalid
from pointsman.store.revisions import (
    AuditEntry,
    RevisionInfo,
    add_audit,
    add_revision,
    latest,
    latest_from,
    published_document,
    text_hash,
)
from pointsman.store.store import Store, StoreError

KEPT = 20
"""Published documents that stay on disk. The store keeps every revision."""
RETRY_SECONDS = 1.0

_log = logging.getLogger("pointsman.control")


class StaleBase(Exception):  # noqa: N818 (reads as what it says)
    """The editor saw another revision than the one that is current. `current` is its number."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the registry is at revision {current} by now")
        self.current = current


class Sent(msgspec.Struct, frozen=True):
    """A registry file on its way in: its text, where it comes from, who sends it and why."""

    text: str
    source: str
    author: str
    reason: str = ""
    based_on: int | None = None


class Publication(msgspec.Struct, frozen=True):
    """What came of a file. `changed` is False when the registry was already so."""

    revision: RevisionInfo
    changed: bool
    warnings: tuple[Problem, ...] = ()


class Publisher:
    """Makes revisions and publishes them. Safe for several threads; `problem` is empty when all is well."""

    def __init__(self, store: Store, places: Places, compile_text: Compile) -> None:
        self._store = store
        self._places = places
        self._compile = compile_text
        self._lock = threading.Lock()
        self.problem = ""

    def latest(self) -> RevisionInfo | None:
        """The newest revision of the store. Raises StoreError."""
        with self._store.read() as connection:
            return latest(connection)

    def apply(self, sent: Sent) -> Publication:
        """Make `sent` the registry. Raises RegistryInvalid, StaleBase, StoreError; then nothing has changed."""
        try:
            compiled = self._compile(sent.text, sent.source)
        except RegistryInvalid as error:
            self._note_refusal(sent, error.problems)
            raise
        with self._lock:
            publication, published = self._commit(sent, compiled)
            self._publish(publication.revision, published)
        return publication

    def start_with(self, sent: Sent) -> Publication:
        """`apply`, unless the file is what it was when it was last applied and a later change came another way.

        Otherwise a restart would silently take back what was changed through the API since.
        """
        with self._store.read() as connection:
            newest, mine = latest(connection), latest_from(connection, sent.source)
        if newest and mine and newest.number > mine.number and mine.text_hash == text_hash(sent.text):
            _log.warning(
                "%s has not changed since revision %d; revision %d (by %s) came later and is served. "
                "Run `pointsman apply` with the file to go back to it",
                sent.source,
                mine.number,
                newest.number,
                newest.author,
            )
            self.settle()
            return Publication(newest, changed=False)
        return self.apply(sent)

    def settle(self) -> RevisionInfo | None:
        """Make what is published equal to the store's newest revision. Raises StoreError."""
        with self._lock:
            info = self.latest()
            if info is not None and self._read_current() != Current(info.number, info.hash):
                self._publish(info, None)
            return info

    def _commit(self, sent: Sent, compiled: Compiled) -> tuple[Publication, bytes | None]:
        warnings = tuple(compiled.warnings)
        with self._store.write() as connection:
            newest = latest(connection)
            number = newest.number if newest else 0
            if sent.based_on is not None and sent.based_on != number:
                raise StaleBase(number)
            if newest is not None and newest.hash == document_hash(compiled.document):
                return Publication(newest, changed=False, warnings=warnings), None
            info, published = add_revision(
                connection,
                compiled.document,
                msgspec.json.encode(compiled.facts),
                text=sent.text,
                author=sent.author,
                reason=sent.reason,
                source=sent.source,
            )
            add_audit(
                connection, AuditEntry(sent.author, "apply", "published", sent.reason, number or None, info.number)
            )
        _log.info("revision %d (%s) by %s", info.number, info.hash[:12], info.author)
        return Publication(info, changed=True, warnings=warnings), published

    def _publish(self, info: RevisionInfo, published: bytes | None) -> None:
        """Write the document (unless it is there already) and name it in `current`."""
        path = self._places.revision(info.number)
        try:
            if published is None and not path.exists():
                with self._store.read() as connection:
                    published = published_document(connection, info.number)
            if published is not None:
                write_durably(path, published)
            current = Current(info.number, info.hash)
            if self._read_current() != current:
                write_durably(self._places.current, msgspec.json.encode(current))
            self._prune(info.number)
        except OSError as error:
            self.problem = f"revision {info.number} is stored but could not be published: {error}"
            _log.error("%s", self.problem)
            self._try_again()
            return
        self.problem = ""

    def _try_again(self) -> None:
        timer = threading.Timer(RETRY_SECONDS, self._settle_quietly)
        timer.daemon = True
        timer.start()

    def _settle_quietly(self) -> None:
        try:
            self.settle()
        except StoreError as error:
            _log.error("%s; %s", self.problem, error)
            self._try_again()

    def _read_current(self) -> Current | None:
        try:
            return msgspec.json.decode(self._places.current.read_bytes(), type=Current)
        except (OSError, msgspec.MsgspecError):
            return None  # missing or damaged: it is written anew

    def _prune(self, newest: int) -> None:
        for path in self._places.revisions.glob("*.jsonl"):
            if path.stem.isdigit() and int(path.stem) <= newest - KEPT:
                path.unlink(missing_ok=True)

    def _note_refusal(self, sent: Sent, problems: Sequence[Problem]) -> None:
        detail = "; ".join(str(problem) for problem in problems[:5])
        try:
            with self._store.write() as connection:
                newest = latest(connection)
                number = newest.number if newest else None
                add_audit(connection, AuditEntry(sent.author, "apply", "refused", detail, from_revision=number))
        except StoreError as error:
            # What is wrong with the file matters more to its author than a line that the audit trail lacks.
            _log.error("a refused file could not be noted in the audit trail: %s", error)
