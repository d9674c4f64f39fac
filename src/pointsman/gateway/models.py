"""`GET /v1/models`: what the key may ask for, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.core.names import near_matches
from pointsman.core.record import RouteKind
from pointsman.gateway.runtime import Principal, Route, Runtime

_ENCODE = msgspec.json.Encoder().encode


def list_models(principal: Principal, runtime: Runtime) -> bytes:
    """An OpenAI list of the names this key may use: workflows, aliases and approved targets."""
    names = runtime.routes if principal.allow is None else principal.allow
    return _ENCODE(
        {"object": "list", "data": [_model(runtime, name) for name in sorted(names) if _shown(runtime, name)]}
    )


def one_model(name: str, principal: Principal, runtime: Runtime) -> bytes:
    """One entry of the list. Raises GatewayError when the key may not use the name or nobody registered it."""
    allowed = principal.allow is None or name in principal.allow
    if not allowed or not _shown(runtime, name):
        near = near_matches(name[:120], runtime.routes if principal.allow is None else principal.allow)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise GatewayError("model_not_found", f"No model is registered as {name[:120]!r}.{hint}", param="model")
    return _ENCODE(_model(runtime, name))


def _shown(runtime: Runtime, name: str) -> bool:
    route = runtime.routes.get(name)
    return route is not None and any(target.clearance.servable for target in route.plan.candidates)


def _model(runtime: Runtime, name: str) -> dict[str, Any]:
    route: Route = runtime.routes[name]
    owner = route.kind if route.kind is RouteKind.WORKFLOW else route.plan.candidates[0].provider.spec.name
    return {"id": name, "object": "model", "created": 0, "owned_by": str(owner)}
