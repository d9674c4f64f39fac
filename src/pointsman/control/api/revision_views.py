"""What the admin API says of revisions, the audit trail and the system."""

from __future__ import annotations

import msgspec

from pointsman.control.config_file import ConfigState
from pointsman.control.shapes import iso
from pointsman.control.workers import WorkerView
from pointsman.registry.problem import Problem
from pointsman.store.revisions import AuditEntry, RevisionInfo
from pointsman.telemetry.ingest import IngestStatus


class RevisionView(msgspec.Struct, frozen=True):
    """A revision without its content."""

    number: int
    hash: str
    author: str
    reason: str
    source: str
    created: str


def revision_view(info: RevisionInfo) -> RevisionView:
    """As the API says it."""
    return RevisionView(info.number, info.hash, info.author, info.reason, info.source, iso(info.created_ns))


class RevisionList(msgspec.Struct, frozen=True):
    """Revisions, newest first."""

    revisions: list[RevisionView]


class RevisionDetail(msgspec.Struct, frozen=True):
    """A revision with the file it was made from."""

    revision: RevisionView
    text: str


class ApplyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registry file to apply. `based_on` is the revision the editor saw; another current one refuses the change."""

    text: str
    author: str = "admin API"
    reason: str = ""
    source: str = "admin API"
    based_on: int | None = None


class Applied(msgspec.Struct, frozen=True):
    """What came of an apply. `missing` are live workers that do not serve the revision yet, or cannot."""

    revision: RevisionView
    changed: bool
    warnings: tuple[Problem, ...]
    served_by: list[str]
    missing: list[WorkerView]
    problem: str = ""


class AuditView(msgspec.Struct, frozen=True):
    """A line of the audit trail."""

    at: str
    who: str
    what: str
    result: str
    detail: str
    from_revision: int | None
    to_revision: int | None


class AuditList(msgspec.Struct, frozen=True):
    """The audit trail, newest first."""

    entries: list[AuditView]


def audit_view(entry: AuditEntry) -> AuditView:
    """As the API says it."""
    return AuditView(
        iso(entry.at_ns),
        entry.who,
        entry.what,
        entry.result,
        entry.detail,
        entry.from_revision,
        entry.to_revision,
    )


class StatusView(msgspec.Struct, frozen=True):
    """How the system is doing. `problems` has everything a person should look at, in words; empty when all is well."""

    version: str
    revision: RevisionView | None
    workers: list[WorkerView]
    ingest: IngestStatus
    config: ConfigState | None
    store: str
    problems: list[str]
