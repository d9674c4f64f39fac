"""`GET /v1/models`: what the key may ask for, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.decision import refusal
from pointsman.core.errors import GatewayError
from pointsman.core.names import near_matches
from pointsman.core.need import Need
from pointsman.core.record import RouteKind
from pointsman.gateway.runtime import Principal, Route, Runtime

LISTS = 256
"""Lists that are kept, one for each set of names and rights that keys have; a large one takes long to make."""

_ENCODE = msgspec.json.Encoder().encode


def list_models(principal: Principal, runtime: Runtime, unix_now: float) -> bytes:
    """An OpenAI list of the names this key may use: workflows, aliases and approved targets that may serve it."""
    kept = runtime.model_lists
    same = (principal.allow, principal.rights)
    if same not in kept:
        if len(kept) >= LISTS:
            kept.clear()
        names = runtime.routes if principal.allow is None else principal.allow
        shown = [_model(runtime, name) for name in sorted(names) if _shown(runtime, name, principal, unix_now)]
        kept[same] = _ENCODE({"object": "list", "data": shown})
    return kept[same]


def one_model(name: str, principal: Principal, runtime: Runtime, unix_now: float) -> bytes:
    """One entry of the list. Raises GatewayError when the key may not use the name or nobody registered it."""
    allowed = principal.allow is None or name in principal.allow
    if not allowed or not _shown(runtime, name, principal, unix_now):
        near = near_matches(name[:120], runtime.routes if principal.allow is None else principal.allow)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise GatewayError("model_not_found", f"No model is registered as {name[:120]!r}.{hint}", param="model")
    return _ENCODE(_model(runtime, name))


def _shown(runtime: Runtime, name: str, principal: Principal, unix_now: float) -> bool:
    """Whether anybody may serve this key under that name, were the request as plain as can be."""
    route = runtime.routes.get(name)
    if route is None:
        return False
    terms, rights = route.plan.terms, principal.rights
    clearances = (target.clearance for target in route.plan.candidates)
    return any(refusal(one, terms, Need(one.task), rights, unix_now) is None for one in clearances)


def _model(runtime: Runtime, name: str) -> dict[str, Any]:
    route: Route = runtime.routes[name]
    owner = route.kind if route.kind is RouteKind.WORKFLOW else route.plan.candidates[0].provider.spec.name
    return {"id": name, "object": "model", "created": 0, "owned_by": str(owner)}
