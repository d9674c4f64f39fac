"""Revisions and the audit trail."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pointsman.core.document import AliasSpec, Document, decode_document, document_hash
from pointsman.store.revisions import (
    AuditEntry,
    RevisionInfo,
    add_audit,
    add_revision,
    audit_list,
    latest,
    latest_from,
    published_document,
    revision_document,
    revision_facts,
    revision_info,
    revision_list,
    revision_text,
)
from pointsman.store.store import Store
from tests.store.making import new_store

DOCUMENT = Document(aliases=(AliasSpec("a", "p:m"),))


def add(store: Store, document: Document, text: str = "version: 1 # ü", source: str = "f.yaml") -> RevisionInfo:
    with store.write() as connection:
        return add_revision(connection, document, b'{"f": 1}', text=text, author="me", reason="because", source=source)[
            0
        ]


def test_an_empty_store_has_no_revision(tmp_path: Path) -> None:
    with new_store(tmp_path).read() as connection:
        assert latest(connection) is None
        assert revision_info(connection, 1) is None


def test_revisions_are_numbered_and_keep_what_they_were_made_from(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    first, second = add(store, DOCUMENT), add(store, Document(), source="g.yaml")
    with store.read() as connection:
        assert (first.number, second.number) == (1, 2)
        assert latest(connection) == second
        assert latest_from(connection, "f.yaml") == first
        assert revision_list(connection, 10) == [second, first]
        assert revision_text(connection, 1) == "version: 1 # ü"
        assert revision_document(connection, 1) == DOCUMENT
        assert msgspec.json.decode(revision_facts(connection, 1)) == {"f": 1}
        assert first.hash == document_hash(DOCUMENT)


def test_the_published_form_carries_its_number(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    add(store, Document())
    add(store, DOCUMENT)
    with store.read() as connection:
        header, document = decode_document(published_document(connection, 2))
    assert (header.revision, header.hash, document) == (2, document_hash(DOCUMENT), DOCUMENT)


def test_the_audit_trail_is_newest_first(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.write() as connection:
        add_audit(connection, AuditEntry("me", "apply", "published", "why", None, 1))
        add_audit(connection, AuditEntry("you", "apply", "refused", "line 3", 1, None))
    with store.read() as connection:
        entries = audit_list(connection, 10)
    assert [(e.who, e.result, e.from_revision, e.to_revision) for e in entries] == [
        ("you", "refused", 1, None),
        ("me", "published", None, 1),
    ]
    assert entries[0].at_ns >= entries[1].at_ns > 0
