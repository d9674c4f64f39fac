"""A decision without a call: which targets would serve a request, in which order, and why the others would not.

It goes through the same `core.decision.decide` as every call. Health is left out: it belongs to the gateway's moment,
and what is asked here is what the registry allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from pointsman.core.capability import ALL_CAPABILITIES, Task
from pointsman.core.decision import (
    Clearance,
    Condition,
    Dropped,
    Numbering,
    Plan,
    Rights,
    Terms,
    clearance_of,
    decide,
    terms_of,
)
from pointsman.core.document import Document, KeySpec
from pointsman.core.errors import GatewayError
from pointsman.core.names import MODEL_ID, near_matches
from pointsman.core.need import Need
from pointsman.core.policy import OnFailure, PolicySpec, Requirements, Strategy
from pointsman.core.record import RouteKind
from pointsman.core.target import ApprovalState, TargetSpec
from pointsman.dialects import openai_chat, openai_embeddings


class DryRun(msgspec.Struct, frozen=True):
    """What would happen. `order` is first to last; `refusal` is empty when somebody would serve."""

    requested: str
    route_kind: RouteKind
    workflow: str
    policy: str
    strategy: str
    need: list[str]
    order: list[str]
    dropped: list[Dropped]
    head_flow: str = ""
    retry: int = 0
    refusal: str = ""
    notes: list[str] = []


class _Healthy:
    """A target of which nothing is known but what the registry says."""

    __slots__ = ("clearance",)

    def __init__(self, clearance: Clearance) -> None:
        self.clearance = clearance

    def condition(self, _now: float) -> Condition:
        return Condition.OPEN


class _Route(msgspec.Struct):
    kind: RouteKind
    workflow: str = ""
    policy: PolicySpec | None = None
    require: Requirements = Requirements()
    targets: tuple[TargetSpec, ...] = ()


def read_need(body: bytes) -> tuple[str, Need]:
    """The model a request names (empty when it names none) and what the request needs. Raises GatewayError.

    A body with `input` and without `messages` is an embeddings request.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise GatewayError("invalid_json", f"The request is not a JSON object: {error}.") from error
    if "model" not in fields:
        fields["model"] = msgspec.Raw(b'"?"')
        body = msgspec.json.encode(fields)
    dialect = openai_embeddings if "input" in fields and "messages" not in fields else openai_chat
    incoming = dialect.read(body)
    return ("" if incoming.model == "?" else incoming.model), incoming.need


def dry_run(document: Document, name: str, need: Need, key: str | None = None) -> DryRun:
    """Decide for `name` as the gateway would, for the key of that name when one is given. Raises GatewayError."""
    holder = _key(document, key)
    route = _route(document, name, need.task)
    if holder is not None and not _allowed(document, holder, name):
        return _said(route, name, need, refusal=f"the key {holder.name} may not use the name {name}")
    if not route.targets:
        near = near_matches(name, _names(document))
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return _said(route, name, need, refusal=f"nobody registered the name {name}{hint}")
    return _decided(document, route, name, need, holder)


def _decided(document: Document, route: _Route, name: str, need: Need, holder: KeySpec | None) -> DryRun:
    tags, providers = Numbering(), Numbering()
    policy = route.policy
    plan = Plan(
        policy="" if policy is None else policy.name,
        candidates=tuple(_Healthy(clearance_of(spec, tags, providers)) for spec in route.targets),
        weights=(1,) if policy is None else tuple(c.weight for c in policy.candidates),
        terms=Terms() if policy is None else terms_of(tags, policy.require, route.require),
        on_failure=OnFailure(retry=1, fallback=False) if policy is None else policy.on_failure,
        order=_order(policy),
        tags=tags,
    )
    rights = Rights()
    if holder is not None:
        rights = Rights(providers.mask(holder.providers), tags.mask(holder.require_tags))
    decision = decide(plan, need, rights, time.monotonic(), time.time())
    served = [target.clearance.name for target in decision.order]
    notes = []
    if policy is not None and policy.strategy is Strategy.WEIGHTED:
        shares = ", ".join(f"{c.target} {c.weight}" for c in policy.candidates)
        notes.append(f"the first target is drawn by weight: {shares}")
    return _said(
        route,
        name,
        need,
        order=served,
        dropped=list(decision.dropped),
        head_flow=str(decision.head_flow) if served else "",
        retry=plan.on_failure.retry,
        notes=notes,
        refusal="" if served else "no target may serve this request",
    )


def _said(route: _Route, name: str, need: Need, *, refusal: str, **more: Any) -> DryRun:
    return DryRun(
        requested=name,
        route_kind=route.kind,
        workflow=route.workflow,
        policy="" if route.policy is None else route.policy.name,
        strategy="" if route.policy is None else str(route.policy.strategy),
        need=need.words(),
        order=more.pop("order", []),
        dropped=more.pop("dropped", []),
        refusal=refusal,
        **more,
    )


def _order(policy: PolicySpec | None) -> Callable[[list[Any], Plan], list[Any]] | None:
    """The gateway draws by weight; here the likeliest order is shown, heaviest first."""
    if policy is None or policy.strategy is not Strategy.WEIGHTED:
        return None
    weights = {candidate.target: candidate.weight for candidate in policy.candidates}
    return lambda kept, _plan: sorted(kept, key=lambda target: -weights[target.clearance.name])


def _route(document: Document, name: str, task: Task) -> _Route:
    targets = {spec.name: spec for spec in document.targets}
    for workflow in document.workflows:
        if workflow.name == name:
            policy = next(spec for spec in document.policies if spec.name == workflow.policy)
            chosen = tuple(targets[candidate.target] for candidate in policy.candidates)
            return _Route(RouteKind.WORKFLOW, name, policy, workflow.require, chosen)
    for alias in document.aliases:
        if alias.name == name:
            return _Route(RouteKind.ALIAS, targets=(targets[alias.target],))
    if name in targets:
        return _Route(RouteKind.TARGET, targets=(targets[name],))
    if document.unregistered is not None and MODEL_ID.fullmatch(name):
        provider = document.unregistered.provider
        spec = TargetSpec(
            name=f"{provider}:{name}",
            provider=provider,
            model=name,
            task=task,
            state=ApprovalState.APPROVED,
            unknown=ALL_CAPABILITIES,
        )
        return _Route(RouteKind.UNREGISTERED, targets=(spec,))
    return _Route(RouteKind.UNKNOWN)


def _names(document: Document) -> list[str]:
    return [item.name for part in (document.workflows, document.aliases, document.targets) for item in part]


def _key(document: Document, name: str | None) -> KeySpec | None:
    if not name:
        return None
    for key in document.keys:
        if key.name == name:
            return key
    near = near_matches(name, (key.name for key in document.keys))
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise GatewayError("not_found", f"There is no key of the name {name}.{hint}", param="key")


def _allowed(document: Document, key: KeySpec, name: str) -> bool:
    return key.allow is None or name in document.allow_sets[key.allow]
