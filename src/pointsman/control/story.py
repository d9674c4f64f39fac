"""A call's record told in sentences: what was asked, what was allowed, what was tried, how it ended."""

from __future__ import annotations

from pointsman.control.meanings import MEANINGS
from pointsman.core.capability import Task
from pointsman.core.money import format_usd
from pointsman.core.need import Need
from pointsman.core.record import Attempt, AttemptKind, CallRecord, Outcome, RouteKind

_HOW = {AttemptKind.PRIMARY: "First", AttemptKind.RETRY: "Again", AttemptKind.FALLBACK: "Then, as fallback"}


def need_of(record: CallRecord) -> Need:
    """What the call needed, as far as its record tells."""
    task = Task.EMBEDDING if record.endpoint.endswith("embeddings") else Task.CHAT
    return Need(task, record.needs, record.need_input_tokens, record.need_max_output)


def story(record: CallRecord) -> list[str]:
    """The call in sentences, in the order in which things happened."""
    said = [_asked(record)]
    if record.requested and record.route_kind is not RouteKind.UNKNOWN:
        said.append("It needed " + ", ".join(need_of(record).words()) + ".")
    for dropped in record.dropped:
        meaning = MEANINGS.get(str(dropped.reason), str(dropped.reason))
        detail = f" ({dropped.detail})" if dropped.detail else ""
        said.append(f"{dropped.target} could not serve: {meaning}{detail} [{dropped.reason}].")
    if record.order:
        said.append("The order was " + ", then ".join(record.order) + ".")
    said += [_tried(attempt) for attempt in record.attempts]
    said.append(_ended(record))
    return said


def _asked(record: CallRecord) -> str:
    who = record.key or "Somebody without a known key"
    if not record.requested:
        return f"{who} made a request that named no model."
    names = {
        RouteKind.WORKFLOW: f"the workflow of policy {record.policy}",
        RouteKind.ALIAS: "an alias",
        RouteKind.TARGET: "a target",
        RouteKind.UNREGISTERED: "a name that nobody registered, forwarded for observation",
        RouteKind.UNKNOWN: "a name that led nowhere",
    }
    return f"{who} asked for {record.requested}, {names[record.route_kind]}, under revision {record.revision}."


def _tried(attempt: Attempt) -> str:
    took = f"{attempt.duration_us / 1000:.1f} ms"
    start = f"{_HOW[attempt.kind]} {attempt.target} was called"
    if not attempt.failure:
        return f"{start} and answered in {took}."
    status = f", status {attempt.status}" if attempt.status else ""
    detail = f": {attempt.detail}" if attempt.detail else ""
    return f"{start} and failed after {took} ({attempt.failure}{status}{detail})."


def _ended(record: CallRecord) -> str:
    if record.outcome is Outcome.OK:
        cost = (
            f"unknown ({record.cost_reason})" if record.cost_nano is None else f"{format_usd(record.cost_nano)} dollars"
        )
        drift = f" The provider says {record.reported_model} answered: that is drift." if record.drift else ""
        return f"{record.target} served the call; its cost is {cost}.{drift}"
    ends = {
        Outcome.REFUSED: f"The call was refused with status {record.status} ({record.error}).",
        Outcome.FAILED: f"The call failed with status {record.status} ({record.error}).",
        Outcome.CANCELLED: "The caller hung up before the answer was complete.",
        Outcome.INTERRUPTED: "The gateway died while the answer was on its way; how much arrived is not known.",
    }
    return ends[record.outcome]
