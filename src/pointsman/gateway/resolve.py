"""Requested name → route: exact, one namespace, no patterns, no guesses."""

from __future__ import annotations

from pointsman.core.capability import Task
from pointsman.core.errors import GatewayError
from pointsman.core.names import near_matches
from pointsman.gateway.runtime import Principal, Route, Runtime


def resolve(name: str, task: Task, principal: Principal, runtime: Runtime) -> Route:
    """The route of `name`, whoever asks. Raises GatewayError, with near matches that the key may use."""
    route = runtime.routes.get(name)
    if route is not None:
        return route
    if principal.allow is None:
        observed = runtime.unregistered_route(name, task)
        if observed is not None:
            return observed
    raise GatewayError("model_not_found", _unknown(name, principal, runtime), param="model")


def require_allowed(name: str, principal: Principal) -> None:
    """Refuse a name that this key may not use. Raises GatewayError.

    Apart from `resolve`, so that the record says by then what the name is: a forbidden name is not an unknown one.
    """
    allow = principal.allow
    if allow is not None and name not in allow:
        raise GatewayError(
            "model_not_allowed",
            f"The key {principal.name!r} may not use {name!r}.{_allowed(principal)}",
            param="model",
        )


def _unknown(name: str, principal: Principal, runtime: Runtime) -> str:
    shown = name if len(name) <= 120 else name[:120] + "…"
    near = near_matches(name[:120], runtime.routes if principal.allow is None else principal.allow)
    if near:
        return f"No model is registered as {shown!r}. Did you mean {' or '.join(map(repr, near))}?"
    return f"No model is registered as {shown!r}. GET /v1/models lists what this key may use."


def _allowed(principal: Principal) -> str:
    names = sorted(principal.allow or ())
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f" It may use {', '.join(names[:5])}{more}."
