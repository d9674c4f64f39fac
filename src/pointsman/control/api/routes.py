"""The routes of the admin API, each a few lines: find, then say.

Handlers run in threads, because the store blocks. Litestar reads their signatures when the application is built, so
every name in them has to exist at run time.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from litestar.types import ControllerRouterHandler

from pointsman import __version__
from pointsman.control.api import call_views, registry_views, revision_views
from pointsman.control.api.problem import ApiError
from pointsman.control.api.times import moment
from pointsman.control.dryrun import dry_run, read_need
from pointsman.control.parts import Control
from pointsman.control.publish import Publication, Sent, StaleBase
from pointsman.control.registry import Registry
from pointsman.control.report import CoverageView, TargetReport, coverage_report, target_report
from pointsman.control.status import problems
from pointsman.control.story import need_of, story
from pointsman.control.workers import await_revision, workers
from pointsman.core.errors import GatewayError
from pointsman.core.names import near_matches
from pointsman.core.record import CallRecord
from pointsman.registry.problem import RegistryInvalid
from pointsman.store import reports, revisions
from pointsman.store.call_list import CallFilter, call_lines
from pointsman.store.calls import call_record

Parts = NamedDependency[SkipValidation[Control]]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


@get("/healthz", sync_to_thread=False, summary="Whether this process answers; needs no token")
def healthz() -> dict[str, str]:
    """Say ok."""
    return {"status": "ok"}


@get("/status", sync_to_thread=True, summary="Revision, workers, ingest, and everything that is amiss")
def status(control: Parts) -> revision_views.StatusView:
    """How the system is doing."""
    info = control.publisher.latest()
    found = workers(control.places)
    config = control.config.state if control.config is not None else None
    ingest = control.ingest.status
    return revision_views.StatusView(
        __version__,
        None if info is None else revision_views.revision_view(info),
        found,
        ingest,
        config,
        control.store.name,
        problems(0 if info is None else info.number, found, ingest, config, control.publisher.problem),
    )


@get("/revisions", sync_to_thread=True, summary="Revisions, newest first")
def list_revisions(control: Parts, limit: Limit = 50) -> revision_views.RevisionList:
    """The newest revisions."""
    with control.store.read() as connection:
        found = revisions.revision_list(connection, limit)
    return revision_views.RevisionList([revision_views.revision_view(info) for info in found])


@post("/revisions", sync_to_thread=True, status_code=200, summary="Apply a registry file")
def apply(control: Parts, data: JSONBody[revision_views.ApplyBody]) -> revision_views.Applied:
    """Compile, store and publish; then wait up to two seconds for the workers."""
    publication = _apply(control, Sent(data.text, data.source, data.author, data.reason, data.based_on))
    number = publication.revision.number
    live = await_revision(control.places, number)
    return revision_views.Applied(
        revision_views.revision_view(publication.revision),
        publication.changed,
        publication.warnings,
        [worker.worker for worker in live if worker.revision >= number],
        [worker for worker in live if worker.revision < number],
        control.publisher.problem,
    )


def _apply(control: Control, sent: Sent) -> Publication:
    try:
        return control.publisher.apply(sent)
    except RegistryInvalid as error:
        raise ApiError(
            422,
            "registry_invalid",
            f"The file does not compile ({len(error.problems)} problems); nothing has changed.",
            problems=error.problems,
        ) from error
    except StaleBase as error:
        raise ApiError(
            409,
            "stale_base",
            f"The registry is at revision {error.current} by now; look at what changed and apply again.",
            current=error.current,
        ) from error


@get("/revisions/{number:int}", sync_to_thread=True, summary="A revision with its file")
def one_revision(control: Parts, number: FromPath[int]) -> revision_views.RevisionDetail:
    """One revision."""
    with control.store.read() as connection:
        info = revisions.revision_info(connection, number)
        if info is None:
            raise ApiError(404, "not_found", f"There is no revision {number}.")
        text = revisions.revision_text(connection, number)
    return revision_views.RevisionDetail(revision_views.revision_view(info), text)


@get("/audit", sync_to_thread=True, summary="The audit trail, newest first")
def audit(control: Parts, limit: Limit = 100) -> revision_views.AuditList:
    """Who changed what, when, and how it ended."""
    with control.store.read() as connection:
        entries = revisions.audit_list(connection, limit)
    return revision_views.AuditList([revision_views.audit_view(entry) for entry in entries])


def _registry(control: Control) -> Registry:
    found = control.registry.get()
    if found is None:
        raise ApiError(404, "no_registry", "There is no registry yet. Apply a file first.")
    return found


def _facts_of(registry: Registry, name: str) -> Any:
    return registry.facts.get(name) if isinstance(registry.facts, dict) else None


@get("/targets", sync_to_thread=True, summary="The targets of the current revision")
def list_targets(control: Parts) -> registry_views.TargetList:
    """All targets, each with its facts and their sources."""
    registry = _registry(control)
    return registry_views.TargetList(
        registry.info.number,
        [registry_views.target_view(spec, _facts_of(registry, spec.name)) for spec in registry.document.targets],
    )


@get("/targets/{name:path}", sync_to_thread=True, summary="One target with its facts and their sources")
def one_target(control: Parts, name: FromPath[str]) -> registry_views.TargetView:
    """One target."""
    name = name.removeprefix("/")
    registry = _registry(control)
    for spec in registry.document.targets:
        if spec.name == name:
            return registry_views.target_view(spec, _facts_of(registry, name))
    raise ApiError(404, "not_found", _unknown_target(registry, name))


def _unknown_target(registry: Registry, name: str) -> str:
    near = near_matches(name, (spec.name for spec in registry.document.targets))
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"Revision {registry.info.number} has no target {name}.{hint}"


@get("/policies", sync_to_thread=True, summary="The policies of the current revision")
def list_policies(control: Parts) -> registry_views.PolicyList:
    """All policies."""
    registry = _registry(control)
    return registry_views.PolicyList(
        registry.info.number, [registry_views.policy_view(spec) for spec in registry.document.policies]
    )


@get("/workflows", sync_to_thread=True, summary="The workflows of the current revision")
def list_workflows(control: Parts) -> registry_views.WorkflowList:
    """All workflows."""
    registry = _registry(control)
    return registry_views.WorkflowList(
        registry.info.number, [registry_views.workflow_view(spec) for spec in registry.document.workflows]
    )


@get("/calls", sync_to_thread=True, summary="Calls, newest first, filtered")
def list_calls(
    control: Parts,
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    target: FromQuery[str] = "",
    workflow: FromQuery[str] = "",
    key: FromQuery[str] = "",
    team: FromQuery[str] = "",
    outcome: FromQuery[str] = "",
    requested: FromQuery[str] = "",
    task: FromQuery[str] = "",
    limit: Limit = 50,
    cursor: FromQuery[str] = "",
) -> call_views.CallList:
    """A page of calls."""
    wanted = CallFilter(
        since_ns=moment(since, "since") if since else None,
        until_ns=moment(until, "until") if until else None,
        target=target,
        workflow=workflow,
        key=key,
        team=team,
        outcome=outcome,
        requested=requested,
        task=task,
    )
    with control.store.read() as connection:
        lines = call_lines(connection, wanted, limit + 1, _after(cursor))
    page = lines[:limit]
    more = f"{page[-1].started_ns}-{page[-1].id}" if len(lines) > limit else None
    return call_views.CallList([call_views.call_view(line) for line in page], more)


def _after(cursor: str) -> tuple[int, int] | None:
    if not cursor:
        return None
    started, _, row = cursor.partition("-")
    if not (started.isdigit() and row.isdigit() and len(cursor) < 40):
        raise ApiError(400, "invalid_cursor", "`cursor` has to be the `next` of a page before.")
    return int(started), int(row)


def _record(control: Control, call_id: str) -> CallRecord:
    with control.store.read() as connection:
        record = call_record(connection, call_id)
    if record is None:
        raise ApiError(
            404, "not_found", f"There is no record of call {call_id}. A call is stored about a second after it ends."
        )
    return record


@get("/calls/{call_id:str}", sync_to_thread=True, summary="The whole record of a call")
def one_call(control: Parts, call_id: FromPath[str]) -> call_views.CallDetail:
    """One call."""
    return call_views.call_detail(_record(control, call_id))


@get("/calls/{call_id:str}/explain", sync_to_thread=True, summary="Why a call went where it went")
def explain_call(control: Parts, call_id: FromPath[str]) -> call_views.CallExplanation:
    """The decision, the attempts, and the story in sentences."""
    record = _record(control, call_id)
    return call_views.CallExplanation(call_views.call_detail(record), need_of(record).words(), story(record))


@post("/explain", sync_to_thread=True, status_code=200, summary="Decide without calling")
def explain(control: Parts, data: JSONBody[call_views.ExplainBody]) -> call_views.DryRunView:
    """Which targets would serve a request, and why the others would not."""
    registry = _registry(control)
    try:
        named, need = read_need(msgspec.json.encode(data.request))
        model = data.model or named
        if not model:
            raise ApiError(400, "invalid_request", "Neither `model` nor the request itself names a model.")
        found = dry_run(registry.document, model, need, data.key or None)
    except GatewayError as error:
        raise ApiError(400, error.code, error.message) from error
    return call_views.dry_run_view(found, registry.info.number)


def _period(since: str, until: str) -> reports.Period:
    period = reports.Period(moment(since, "since"), moment(until, "until") if until else time.time_ns())
    if period.since_ns >= period.until_ns:
        raise ApiError(400, "invalid_time", "`since` has to be earlier than `until`.")
    return period


@get("/report/targets/{name:path}", sync_to_thread=True, summary="The three questions about a target")
def report_target(
    control: Parts, name: FromPath[str], since: FromQuery[str] = "24h", until: FromQuery[str] = ""
) -> TargetReport:
    """Which traffic used it, what it cost, and what is known of its quality."""
    name = name.removeprefix("/")
    period = _period(since, until)
    registry = control.registry.get()
    state = ""
    if registry is not None:
        state = next((str(spec.state) for spec in registry.document.targets if spec.name == name), "")
    with control.store.read() as connection:
        figures = reports.target_figures(connection, name, period)
    if not state and not figures.calls and not figures.attempts and registry is not None:
        raise ApiError(404, "not_found", _unknown_target(registry, name) + " It had no calls in this period either.")
    return target_report(name, state, figures, period)


@get("/coverage", sync_to_thread=True, summary="How much traffic came in by registered names")
def coverage(control: Parts, since: FromQuery[str] = "24h", until: FromQuery[str] = "") -> CoverageView:
    """Shares of calls and of spend, and the names that nobody registered."""
    period = _period(since, until)
    with control.store.read() as connection:
        return coverage_report(reports.coverage_figures(connection, period), period)


API: list[ControllerRouterHandler] = [
    status,
    list_revisions,
    apply,
    one_revision,
    audit,
    list_targets,
    one_target,
    list_policies,
    list_workflows,
    list_calls,
    one_call,
    explain_call,
    explain,
    report_target,
    coverage,
]


def router() -> Router:
    """Everything below /api/v1."""
    return Router(path="/api/v1", route_handlers=API)
