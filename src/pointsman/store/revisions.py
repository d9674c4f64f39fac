"""Revisions and the audit trail. Rows of both are added and never changed."""

from __future__ import annotations

import hashlib
import time
import zlib
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select

from pointsman.core.document import Document, decode_document, document_hash, encode_document
from pointsman.store.tables import audit, revisions


class RevisionInfo(msgspec.Struct, frozen=True):
    """A revision without its content. `text_hash` is the hex SHA-256 of the file as it was sent."""

    number: int
    hash: str
    author: str
    reason: str
    source: str
    created_ns: int
    text_hash: str


class AuditEntry(msgspec.Struct, frozen=True):
    """One line of the audit trail: who did what, when, and how it ended."""

    who: str
    what: str
    result: str
    detail: str = ""
    from_revision: int | None = None
    to_revision: int | None = None
    at_ns: int = 0
    id: int = 0


_INFO = [revisions.c[name] for name in RevisionInfo.__struct_fields__]


def text_hash(text: str) -> str:
    """Hex SHA-256 of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _info(row: Row[Any] | None) -> RevisionInfo | None:
    return None if row is None else RevisionInfo(*tuple(row))


def latest(connection: Connection) -> RevisionInfo | None:
    """The newest revision, if there is any."""
    return _info(connection.execute(select(*_INFO).order_by(revisions.c.number.desc()).limit(1)).first())


def latest_from(connection: Connection, source: str) -> RevisionInfo | None:
    """The newest revision that was made from `source`."""
    query = select(*_INFO).where(revisions.c.source == source).order_by(revisions.c.number.desc()).limit(1)
    return _info(connection.execute(query).first())


def revision_info(connection: Connection, number: int) -> RevisionInfo | None:
    """Revision `number` without its content."""
    return _info(connection.execute(select(*_INFO).where(revisions.c.number == number)).first())


def revision_list(connection: Connection, limit: int) -> list[RevisionInfo]:
    """The newest revisions, newest first."""
    rows = connection.execute(select(*_INFO).order_by(revisions.c.number.desc()).limit(limit))
    return [RevisionInfo(*row) for row in rows]


def add_revision(
    connection: Connection, document: Document, facts: bytes, *, text: str, author: str, reason: str, source: str
) -> tuple[RevisionInfo, bytes]:
    """Store `document` as the next revision. Returns it with its published form (core.document)."""
    number = (connection.execute(select(func.max(revisions.c.number))).scalar() or 0) + 1
    published = encode_document(document, number)
    info = RevisionInfo(number, document_hash(document), author, reason, source, time.time_ns(), text_hash(text))
    connection.execute(
        insert(revisions).values(
            **msgspec.structs.asdict(info),
            text=zlib.compress(text.encode(), 1),
            document=zlib.compress(published, 1),
            facts=zlib.compress(facts, 1),
        )
    )
    return info, published


def _content(connection: Connection, column: str, number: int) -> bytes:
    packed = connection.execute(select(revisions.c[column]).where(revisions.c.number == number)).scalar_one()
    return zlib.decompress(packed)


def revision_text(connection: Connection, number: int) -> str:
    """The file of revision `number` as it was sent. The revision has to exist."""
    return _content(connection, "text", number).decode()


def published_document(connection: Connection, number: int) -> bytes:
    """The published form of revision `number`. The revision has to exist."""
    return _content(connection, "document", number)


def revision_document(connection: Connection, number: int) -> Document:
    """The document of revision `number`. The revision has to exist. Raises DocumentError."""
    return decode_document(published_document(connection, number))[1]


def revision_facts(connection: Connection, number: int) -> bytes:
    """JSON: where the facts of revision `number` come from. The revision has to exist."""
    return _content(connection, "facts", number)


def add_audit(connection: Connection, entry: AuditEntry) -> None:
    """Add a line to the audit trail; its time is now."""
    values = msgspec.structs.asdict(entry)
    del values["id"]
    values["at_ns"] = time.time_ns()
    connection.execute(insert(audit).values(**values))


def audit_list(connection: Connection, limit: int) -> list[AuditEntry]:
    """The newest lines of the audit trail, newest first."""
    columns = [audit.c[name] for name in AuditEntry.__struct_fields__]
    return [AuditEntry(*row) for row in connection.execute(select(*columns).order_by(audit.c.id.desc()).limit(limit))]
