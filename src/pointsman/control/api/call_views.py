"""What the admin API says of calls. Money is in dollars as decimal text, and in nano-dollars for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.control.dryrun import DryRun
from pointsman.control.meanings import MEANINGS
from pointsman.control.shapes import iso, ms, usd
from pointsman.core.decision import Dropped
from pointsman.core.record import CallRecord
from pointsman.core.usage import Usage
from pointsman.store.call_list import CallLine


class CallView(msgspec.Struct, frozen=True):
    """A call as a list shows it."""

    call_id: str
    started: str
    revision: int
    key: str
    team: str
    endpoint: str
    requested: str
    route_kind: str
    workflow: str
    policy: str
    target: str
    reported_model: str
    drift: bool
    stream: bool
    outcome: str
    status: int
    error: str
    input_tokens: int | None
    output_tokens: int | None
    cost_nano: int | None
    cost_usd: str | None
    cost_reason: str
    duration_ms: float | None
    first_token_ms: float | None
    finish_reason: str
    attempts: int
    task: str


_SAME = [name for name in CallView.__struct_fields__ if name in CallLine.__struct_fields__]


def call_view(line: CallLine) -> CallView:
    """As the API says it."""
    return CallView(
        started=iso(line.started_ns),
        cost_usd=usd(line.cost_nano),
        duration_ms=ms(line.duration_us),
        first_token_ms=ms(line.first_token_us),
        **{name: getattr(line, name) for name in _SAME},
    )


class CallList(msgspec.Struct, frozen=True):
    """Calls, newest first. `next` goes into `cursor` for the page after this; None on the last one."""

    calls: list[CallView]
    next: str | None


class DroppedView(msgspec.Struct, frozen=True):
    """A candidate that could not serve, its reason code, what exactly is amiss, and what the code means."""

    target: str
    reason: str
    detail: str
    meaning: str


class AttemptView(msgspec.Struct, frozen=True):
    """One upstream call. `started_ms` counts from the start of the call."""

    target: str
    kind: str
    started_ms: float | None
    duration_ms: float | None
    first_token_ms: float | None
    status: int
    failure: str
    detail: str
    reported_model: str
    usage: dict[str, int] | None
    cost_usd: str | None
    cost_reason: str


class CallDetail(msgspec.Struct, frozen=True):
    """The whole record of a call."""

    call_id: str
    started: str
    revision: int
    revision_hash: str
    worker: str
    key: str
    team: str
    endpoint: str
    requested: str
    route_kind: str
    workflow: str
    policy: str
    target: str
    reported_model: str
    drift: bool
    stream: bool
    outcome: str
    status: int
    error: str
    order: tuple[str, ...]
    dropped: list[DroppedView]
    attempts: list[AttemptView]
    usage: dict[str, int] | None
    cost_nano: int | None
    cost_usd: str | None
    cost_reason: str
    duration_ms: float | None
    first_token_ms: float | None
    finish_reason: str
    request_bytes: int
    response_bytes: int
    task: str
    traceparent: str


_SAME_DETAIL = [
    name
    for name in CallDetail.__struct_fields__
    if name in CallRecord.__struct_fields__ and name not in ("dropped", "attempts", "usage")
]


def usage_view(usage: Usage | None) -> dict[str, int] | None:
    """Token counts by name."""
    return None if usage is None else {name: getattr(usage, name) for name in usage.__struct_fields__}


def call_detail(record: CallRecord) -> CallDetail:
    """As the API says it."""
    return CallDetail(
        started=iso(record.started_ns),
        cost_usd=usd(record.cost_nano),
        duration_ms=ms(record.duration_us),
        first_token_ms=ms(record.first_token_us),
        usage=usage_view(record.usage),
        dropped=[dropped_view(d) for d in record.dropped],
        attempts=[
            AttemptView(
                a.target,
                str(a.kind),
                ms(a.started_us),
                ms(a.duration_us),
                ms(a.first_token_us),
                a.status,
                a.failure,
                a.detail,
                a.reported_model,
                usage_view(a.usage),
                usd(a.cost_nano),
                a.cost_reason,
            )
            for a in record.attempts
        ],
        **{name: getattr(record, name) for name in _SAME_DETAIL},
    )


def dropped_view(dropped: Dropped) -> DroppedView:
    """As the API says it."""
    return DroppedView(dropped.target, str(dropped.reason), dropped.detail, MEANINGS.get(str(dropped.reason), ""))


class CallExplanation(msgspec.Struct, frozen=True):
    """A call, what it needed, and what happened to it in sentences."""

    call: CallDetail
    need: list[str]
    story: list[str]


class ExplainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to decide without making it. `request` is its JSON body; `model` wins over the one it names."""

    request: dict[str, Any]
    model: str = ""
    key: str = ""


class DryRunView(msgspec.Struct, frozen=True):
    """What would happen. Health is left out: this is what revision `revision` allows."""

    revision: int
    requested: str
    route_kind: str
    workflow: str
    policy: str
    strategy: str
    need: list[str]
    order: list[str]
    dropped: list[DroppedView]
    head_flow: str
    retry: int
    refusal: str
    notes: list[str]


def dry_run_view(found: DryRun, revision: int) -> DryRunView:
    """As the API says it."""
    return DryRunView(
        revision,
        found.requested,
        str(found.route_kind),
        found.workflow,
        found.policy,
        found.strategy,
        found.need,
        found.order,
        [dropped_view(d) for d in found.dropped],
        found.head_flow,
        found.retry,
        found.refusal,
        found.notes,
    )
