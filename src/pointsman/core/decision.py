"""The decision: which targets may serve this request, in which order, and why the others may not.

`decide` is the one filter of the whole product. Every attempt on every path (primary, retry, fallback, dry run, and
the compiler's own proof that a policy can hold) goes through it or through `refusal`, which it is made of.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from pointsman.core.capability import Task, capability_names
from pointsman.core.need import Need
from pointsman.core.policy import OnFailure, Requirements, UnknownCapabilities
from pointsman.core.target import (
    FALLBACK_BIT,
    FLOW_BITS,
    PRIMARY_BIT,
    ApprovalState,
    Flow,
    Lifecycle,
    TargetSpec,
    Tier,
)


class Reason(enum.StrEnum):
    """Why a candidate was dropped. Documented in docs/reference/reason-codes.md."""

    NOT_APPROVED = "not_approved"
    RETIRED = "retired"
    WRONG_TASK = "wrong_task"
    MISSING_TAG = "missing_tag"
    TIER_NOT_ALLOWED = "tier_not_allowed"
    LACKS_CAPABILITY = "lacks_capability"
    UNKNOWN_CAPABILITY = "unknown_capability"
    CONTEXT_TOO_SMALL = "context_too_small"
    MAX_OUTPUT_TOO_SMALL = "max_output_too_small"
    KEY_PROVIDER = "key_provider"
    KEY_TAG = "key_tag"
    FLOW_NOT_ALLOWED = "flow_not_allowed"
    COOLING_DOWN = "cooling_down"
    DOWN = "down"
    FALLBACK_OFF = "fallback_off"
    CREDENTIAL_MISSING = "credential_missing"


class Dropped(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A candidate that may not serve, the reason code, and what exactly is amiss (may be empty)."""

    target: str
    reason: Reason
    detail: str = ""


class Clearance(msgspec.Struct, frozen=True, gc=False):
    """What the decision reads of a target: facts and policy statements as masks.

    Tag and provider bits are numbered per revision (see `Numbering`). `lacking` has the bits known to be *no*.
    `servable` sums up what no request can change: approved, not retired, and `credentialed` (its secret can be had).
    Up to `roomy` tokens fit both its window and its output; 0 where either is unknown.
    """

    name: str
    task: Task
    servable: bool
    state: ApprovalState
    lifecycle: Lifecycle
    retires_at: int | None
    capabilities: int
    unknown: int
    lacking: int
    context_window: int | None
    max_output: int | None
    tags: int
    provider: int
    flows: int
    tier: Tier | None
    price_known: bool
    credentialed: bool = True
    roomy: int = 0


class Rights(msgspec.Struct, frozen=True, gc=False):
    """What a key may be served by, as masks. `providers` 0 means any provider; `tags` must all be carried."""

    providers: int = 0
    tags: int = 0


NO_TASK = "none"
"""What requirements of different tasks come to together: no target does it."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """A policy's (and workflow's) requirements as masks.

    `tiers` None allows any tier, an empty tuple none. `task` is a `Task`, or `NO_TASK` where requirements that hold
    together ask for different work.
    """

    tags: int = 0
    capabilities: int = 0
    deny_unknown: bool = False
    tiers: tuple[Tier, ...] | None = None
    task: str | None = None
    context_window: int = 0
    max_output: int = 0


class Condition(enum.IntEnum):
    """What health says of a target at this moment, from good to bad."""

    OPEN = 0
    COOLING_DOWN = 1
    DOWN = 2


class Choosable(Protocol):
    """What `decide` needs of a running target."""

    @property
    def clearance(self) -> Clearance:
        """The target's masks."""

    def condition(self, now: float) -> Condition:
        """Health at `now` (seconds of the caller's monotonic clock)."""


T = TypeVar("T", bound=Choosable)


class Numbering:
    """Bit numbers of the tags and providers of one revision."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}

    def bit(self, word: str) -> int:
        """The bit of `word`, given out at first use."""
        return self._bits.setdefault(word, 1 << len(self._bits))

    def mask(self, words: Sequence[str]) -> int:
        """The bits of all `words`."""
        mask = 0
        for word in words:
            mask |= self.bit(word)
        return mask

    def words(self, mask: int) -> str:
        """The words of a mask, joined for a message."""
        return ", ".join(word for word, bit in self._bits.items() if bit & mask)


def clearance_of(spec: TargetSpec, tags: Numbering, providers: Numbering) -> Clearance:
    """Compile a target's facts into masks."""
    return Clearance(
        name=spec.name,
        task=spec.task,
        servable=spec.state is ApprovalState.APPROVED and spec.lifecycle is not Lifecycle.RETIRED,
        state=spec.state,
        lifecycle=spec.lifecycle,
        retires_at=spec.retires_at,
        capabilities=spec.capabilities,
        unknown=spec.unknown,
        lacking=~(spec.capabilities | spec.unknown),
        context_window=spec.context_window,
        max_output=spec.max_output,
        tags=tags.mask(spec.tags),
        provider=providers.bit(spec.provider),
        flows=sum(FLOW_BITS[flow] for flow in set(spec.participates)),
        tier=spec.tier,
        price_known=spec.prices is not None,
        roomy=min(spec.context_window or 0, spec.max_output or 0),
    )


def terms_of(tags: Numbering, *requirements: Requirements) -> Terms:
    """Compile requirements that must hold together. The strictest of each wins; a contradiction lets nothing pass."""
    tiers: tuple[Tier, ...] | None = None
    for require in requirements:
        if require.tiers:
            tiers = require.tiers if tiers is None else tuple(t for t in require.tiers if t in tiers)
    tasks = {require.task for require in requirements if require.task is not None}
    capabilities = 0
    for require in requirements:
        capabilities |= require.capabilities
    return Terms(
        tags=tags.mask([tag for require in requirements for tag in require.tags]),
        capabilities=capabilities,
        deny_unknown=any(r.unknown_capabilities is UnknownCapabilities.DENY for r in requirements),
        tiers=tiers,
        task=NO_TASK if len(tasks) > 1 else next(iter(tasks), None),
        context_window=max((r.context_window or 0 for r in requirements), default=0),
        max_output=max((r.max_output or 0 for r in requirements), default=0),
    )


def refusal(target: Clearance, terms: Terms, need: Need, rights: Rights, unix_now: float) -> tuple[Reason, int] | None:
    """Why `target` may not serve at all, whatever its place in the order; None when it may.

    The integer is the mask of what is amiss (capabilities or tags) or the figure that is too small, for `wording`.
    """
    if not target.servable:
        ended = target.retires_at is not None and unix_now >= target.retires_at
        if ended or target.lifecycle is Lifecycle.RETIRED or target.state is ApprovalState.RETIRED:
            return Reason.RETIRED, 0
        if target.state is not ApprovalState.APPROVED:
            return Reason.NOT_APPROVED, 0
        return Reason.CREDENTIAL_MISSING, 0
    if target.retires_at is not None and unix_now >= target.retires_at:
        return Reason.RETIRED, 0
    if target.task is not need.task or (terms.task is not None and terms.task is not target.task):
        return Reason.WRONG_TASK, 0
    missing = terms.tags & ~target.tags
    if missing:
        return Reason.MISSING_TAG, missing
    if terms.tiers is not None and target.tier not in terms.tiers:
        return Reason.TIER_NOT_ALLOWED, 0
    if rights.providers and not rights.providers & target.provider:
        return Reason.KEY_PROVIDER, 0
    missing = rights.tags & ~target.tags
    if missing:
        return Reason.KEY_TAG, missing
    wanted = need.capabilities | terms.capabilities
    if wanted & ~target.capabilities:
        lacking = wanted & target.lacking
        if lacking:
            return Reason.LACKS_CAPABILITY, lacking
        if terms.deny_unknown:
            return Reason.UNKNOWN_CAPABILITY, wanted & target.unknown
    if not (terms.context_window or terms.max_output) and need.input_tokens + need.max_output <= target.roomy:
        return None
    return _too_small(target, terms, need)


def _too_small(target: Clearance, terms: Terms, need: Need) -> tuple[Reason, int] | None:
    window = target.context_window
    wanted = max(need.input_tokens + need.max_output, terms.context_window)
    if window is None:
        if terms.context_window and terms.deny_unknown:
            return Reason.CONTEXT_TOO_SMALL, 0
    elif wanted > window:
        return Reason.CONTEXT_TOO_SMALL, window
    limit = target.max_output
    wanted = max(need.max_output, terms.max_output)
    if limit is None:
        if terms.max_output and terms.deny_unknown:
            return Reason.MAX_OUTPUT_TOO_SMALL, 0
    elif wanted > limit:
        return Reason.MAX_OUTPUT_TOO_SMALL, limit
    return None


def wording(target: Clearance, why: tuple[Reason, int], tags: Numbering) -> str:
    """What exactly is amiss, in words: the missing tags or capabilities, the state, the limit."""
    reason, what = why
    if reason in (Reason.LACKS_CAPABILITY, Reason.UNKNOWN_CAPABILITY):
        return ", ".join(capability_names(what))
    if reason in (Reason.MISSING_TAG, Reason.KEY_TAG):
        return tags.words(what)
    if reason is Reason.NOT_APPROVED:
        return str(target.state)
    if reason in (Reason.CONTEXT_TOO_SMALL, Reason.MAX_OUTPUT_TOO_SMALL):
        return f"{what} tokens" if what else "unknown"
    if reason is Reason.WRONG_TASK:
        return str(target.task)
    if reason is Reason.TIER_NOT_ALLOWED:
        return str(target.tier) if target.tier else "no tier"
    return ""


class Plan(msgspec.Struct, frozen=True):
    """A policy compiled for the request path: its candidates are running targets, its requirements masks."""

    policy: str
    candidates: tuple[Any, ...]
    weights: tuple[int, ...]
    terms: Terms
    on_failure: OnFailure
    order: Callable[[list[Any], Plan], list[Any]] | None
    tags: Numbering


class Decision(msgspec.Struct):
    """The outcome: `order` is what may be attempted, first to last; `head_flow` says how the first is reached."""

    order: list[Any]
    dropped: tuple[Dropped, ...]
    head_flow: Flow = Flow.PRIMARY


_NONE_DROPPED: tuple[Dropped, ...] = ()
_ANY_PLACE = PRIMARY_BIT | FALLBACK_BIT


def decide(plan: Plan, need: Need, rights: Rights, now: float, unix_now: float) -> Decision:
    """Order the candidates of `plan` that may serve `need` under `rights`, and account for every other one.

    `now` is the monotonic clock that health speaks in, `unix_now` the wall clock of end dates (both seconds).
    The first place needs a target eligible as primary; every later place one eligible as fallback. When every primary
    is dropped, a fallback-only target may come first, and is then reached as a fallback.
    A cooling target serves only when nothing else can; one that is down never does.
    """
    kept: list[Any] = []
    cooling: list[Any] = []
    dropped: list[Dropped] | None = None
    for target in plan.candidates:
        clearance = target.clearance
        why = refusal(clearance, plan.terms, need, rights, unix_now)
        if why is None:
            condition = target.condition(now)
            if not condition:
                kept.append(target)
                continue
            if condition is Condition.COOLING_DOWN:
                cooling.append(target)
                continue
            why = (Reason.DOWN, 0)
        if dropped is None:
            dropped = []
        dropped.append(Dropped(clearance.name, why[0], wording(clearance, why, plan.tags)))
    if cooling:
        heads = PRIMARY_BIT | FALLBACK_BIT if plan.on_failure.fallback else PRIMARY_BIT
        if any(t.clearance.flows & heads for t in kept):
            dropped = dropped or []
            dropped.extend(Dropped(t.clearance.name, Reason.COOLING_DOWN) for t in cooling)
        else:
            # What is well has no place here by its flows: it would be dropped below, and leave nobody to serve.
            kept += cooling
    if len(kept) == 1 and kept[0].clearance.flows & PRIMARY_BIT:
        return Decision(kept, _NONE_DROPPED if dropped is None else tuple(dropped))
    if len(kept) > 1 and plan.order is not None:
        kept = plan.order(kept, plan)
    if kept and plan.on_failure.fallback and _fit_any_place(kept):
        return Decision(kept, _NONE_DROPPED if dropped is None else tuple(dropped))
    return _by_flow(kept, dropped or [], plan.on_failure.fallback)


def _fit_any_place(kept: list[Any]) -> bool:
    """The common case, told quickly: everybody may come first and everybody later."""
    for target in kept:  # noqa: SIM110 - all() with a generator takes three times as long
        if target.clearance.flows & _ANY_PLACE != _ANY_PLACE:
            return False
    return True


def _by_flow(kept: list[Any], dropped: list[Dropped], fallback: bool) -> Decision:
    """Give the first place to a primary and the later ones to fallbacks; drop what has no place."""
    head = next((t for t in kept if t.clearance.flows & PRIMARY_BIT), None)
    flow = Flow.PRIMARY
    if head is None and fallback:
        head = next((t for t in kept if t.clearance.flows & FALLBACK_BIT), None)
        flow = Flow.FALLBACK
    order = [] if head is None else [head]
    for target in kept:
        if target is head:
            continue
        clearance = target.clearance
        if not clearance.flows & FALLBACK_BIT:
            dropped.append(Dropped(clearance.name, Reason.FLOW_NOT_ALLOWED, "fallback"))
        elif not fallback:
            dropped.append(Dropped(clearance.name, Reason.FALLBACK_OFF))
        else:
            order.append(target)
    return Decision(order, tuple(dropped), flow)
