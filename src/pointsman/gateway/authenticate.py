"""Key → principal: one hash, one look-up."""

from __future__ import annotations

from hashlib import sha256

from pointsman.core.errors import GatewayError
from pointsman.gateway.asgi import Scope
from pointsman.gateway.runtime import Principal, Runtime


def authenticate(scope: Scope, runtime: Runtime, unix_now: float) -> Principal:
    """Who calls, by `Authorization: Bearer` or `x-api-key`. Raises GatewayError. No key is ever part of a message."""
    key = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() == b"bearer":
                key = rest.strip()
                break
        elif name == b"x-api-key":
            key = value.strip()
    if not key:
        raise GatewayError("missing_api_key", "No API key. Send a Pointsman key as `Authorization: Bearer …`.")
    principal = runtime.principals.get(sha256(key).digest())
    if principal is None:
        raise GatewayError("invalid_api_key", "This API key is not known here. Use a key issued for this gateway.")
    if unix_now >= principal.expires:
        raise GatewayError("expired_api_key", f"The API key {principal.name!r} has expired. Ask for a new one.")
    return principal
