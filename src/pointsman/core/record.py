"""The call record: the one fact that is written per call, in every outcome.

Records travel as MessagePack arrays. Fields are only ever appended, each with a default, so that a control process can
read what an older or newer gateway wrote. Times are nanoseconds (wall clock) or microseconds (durations).
"""

from __future__ import annotations

import enum

import msgspec

from pointsman.core.decision import Dropped
from pointsman.core.usage import Usage


class Outcome(enum.StrEnum):
    """How a call ended, seen from the caller."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class RouteKind(enum.StrEnum):
    """What the requested name turned out to be."""

    WORKFLOW = "workflow"
    ALIAS = "alias"
    TARGET = "target"
    UNREGISTERED = "unregistered"
    UNKNOWN = "unknown"


class AttemptKind(enum.StrEnum):
    """Why an upstream call was made."""

    PRIMARY = "primary"
    RETRY = "retry"
    FALLBACK = "fallback"


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """One upstream call.

    `failure` is a `FailureKind`, "cancelled" when the caller hung up, or empty when it succeeded. `status` is the
    upstream's HTTP status, 0 when none came. `cost_nano` None goes with a `cost_reason`.
    """

    target: str
    kind: AttemptKind
    started_us: int
    duration_us: int = 0
    first_token_us: int | None = None
    status: int = 0
    failure: str = ""
    detail: str = ""
    reported_model: str = ""
    usage: Usage | None = None
    cost_nano: int | None = None
    cost_reason: str = ""


class CallRecord(msgspec.Struct, array_like=True, gc=False):
    """One call. `order` are the targets that might have served, first to last; `dropped` the others with reasons.

    `status` is the HTTP status the caller saw, 0 when it hung up before one was sent. `cost_nano` is the sum over all
    attempts; None when any of them is unknown. `task` is the caller's own id for the user task (x-pointsman-task).
    """

    call_id: str
    started_ns: int
    revision: int
    revision_hash: str
    worker: str
    key: str = ""
    team: str = ""
    endpoint: str = ""
    requested: str = ""
    route_kind: RouteKind = RouteKind.UNKNOWN
    workflow: str = ""
    policy: str = ""
    target: str = ""
    reported_model: str = ""
    drift: bool = False
    stream: bool = False
    outcome: Outcome = Outcome.OK
    status: int = 0
    error: str = ""
    needs: int = 0
    need_input_tokens: int = 0
    need_max_output: int = 0
    order: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    cost_nano: int | None = None
    cost_reason: str = ""
    duration_us: int = 0
    first_token_us: int | None = None
    finish_reason: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    task: str = ""
    traceparent: str = ""


class Opened(msgspec.Struct, array_like=True, gc=False):
    """Written before the first byte of a stream reaches the caller.

    If the process dies, this is what proves the call. It becomes a record with outcome `interrupted` unless the
    `CallRecord` of the same call follows.
    """

    call: CallRecord
