"""The target: provider and exact model id, the unit that is approved and called."""

from __future__ import annotations

import enum

import msgspec

from pointsman.core.capability import Task
from pointsman.core.money import Prices


class ApprovalState(enum.StrEnum):
    """Our own word on a target. Only `approved` is served."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    RETIRED = "retired"
    REJECTED = "rejected"


class Lifecycle(enum.StrEnum):
    """The provider's word on a model."""

    PREVIEW = "preview"
    ACTIVE = "active"
    LEGACY = "legacy"
    DEPRECATED = "deprecated"
    RETIRED = "retired"
    UNKNOWN = "unknown"


class Tier(enum.StrEnum):
    """Cost class."""

    ECONOMY = "economy"
    STANDARD = "standard"
    PREMIUM = "premium"


class Flow(enum.StrEnum):
    """The ways in which a target may be reached."""

    PRIMARY = "primary"
    FALLBACK = "fallback"
    MIRROR = "mirror"
    SEMANTIC_CACHE = "semantic_cache"
    PRE_GUARDRAIL = "pre_guardrail"
    POST_GUARDRAIL = "post_guardrail"
    JUDGE = "judge"


FLOW_BITS: dict[Flow, int] = {flow: 1 << i for i, flow in enumerate(Flow)}
PRIMARY_BIT = FLOW_BITS[Flow.PRIMARY]
FALLBACK_BIT = FLOW_BITS[Flow.FALLBACK]


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """Seconds for each phase of an upstream call.

    `first_token` runs from the request to the first content token of a stream (a unary answer has only `total`:
    its headers come when the whole answer is ready). `idle` is the longest silence inside an answer.
    """

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 60.0
    total: float = 600.0


class TargetSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A target as a revision stores it: every fact resolved, nothing left to look up.

    `capabilities` and `unknown` are masks over `core.capability.CAPABILITIES`. `retires_at` is a Unix time in
    seconds. `context_window` and `max_output` are tokens; None means unknown.
    """

    name: str
    provider: str
    model: str
    task: Task = Task.CHAT
    state: ApprovalState = ApprovalState.DRAFT
    lifecycle: Lifecycle = Lifecycle.UNKNOWN
    retires_at: int | None = None
    tier: Tier | None = None
    tags: tuple[str, ...] = ()
    participates: tuple[Flow, ...] = (Flow.PRIMARY, Flow.FALLBACK)
    capabilities: int = 0
    unknown: int = 0
    context_window: int | None = None
    max_output: int | None = None
    floating: bool = False
    timeouts: Timeouts = Timeouts()
    prices: Prices | None = None
