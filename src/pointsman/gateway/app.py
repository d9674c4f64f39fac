"""The ASGI application of a gateway worker: which path is what. Paths are compared raw, as they came."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import unquote

from pointsman.core.errors import GatewayError
from pointsman.core.names import near_matches
from pointsman.dialects import openai_chat, openai_embeddings
from pointsman.dialects.contract import Dialect
from pointsman.dialects.openai_errors import error_body
from pointsman.gateway.asgi import HeaderList, Receive, Scope, Send
from pointsman.gateway.authenticate import authenticate
from pointsman.gateway.call import Endpoint
from pointsman.gateway.models import list_models, one_model
from pointsman.gateway.respond import JSON, error_headers, send_body
from pointsman.gateway.runtime import Runtime
from pointsman.gateway.serve import CallServer

CHAT = Endpoint("chat_completions", cast("Dialect", openai_chat))
EMBEDDINGS = Endpoint("embeddings", cast("Dialect", openai_embeddings))

CALLS: dict[bytes, Endpoint] = {
    b"/v1/chat/completions": CHAT,
    b"/chat/completions": CHAT,
    b"/v1/embeddings": EMBEDDINGS,
    b"/embeddings": EMBEDDINGS,
}
"""Paths that call a model. Each is served with and without /v1, since clients differ in what they append."""

_MODELS = (b"/v1/models", b"/models")
_PAGES = ("/healthz", "/readyz", "/metrics")
_KNOWN = [*(path.decode() for path in CALLS), *(path.decode() for path in _MODELS), *_PAGES]


class App:
    """Dispatches requests. `runtime` is the revision that new calls begin on; None until there is one."""

    def __init__(self, calls: CallServer, metrics: Callable[[], Awaitable[bytes]]) -> None:
        self.runtime: Runtime | None = None
        self.draining = False
        self._calls = calls
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise ValueError(f"the gateway does not serve {scope['type']}")
        path = scope["raw_path"]
        endpoint = CALLS.get(path)
        try:
            if endpoint is not None and scope["method"] == "POST":
                runtime = self.runtime
                if runtime is None:
                    raise _not_ready()
                await self._calls.serve(endpoint, runtime, scope, receive, send)
                return
            status, kind, body = self._page(path, endpoint, scope)
            if path == b"/metrics":
                body = await self._metrics()
        except GatewayError as error:
            await send_body(send, error.kind.status, [JSON, *error_headers(error)], error_body(error, ""))
            return
        headers: HeaderList = [(b"content-type", kind)]
        await send_body(send, status, headers, body)

    def _page(self, path: bytes, endpoint: Endpoint | None, scope: Scope) -> tuple[int, bytes, bytes]:
        """Everything that is not a call: status, content type, body. Raises GatewayError."""
        method = scope["method"]
        if endpoint is not None:
            raise _wrong_method(path, method, "POST")
        if path.startswith(_MODELS):
            return self._models(path, scope)
        if method not in ("GET", "HEAD") and path.decode("latin-1") in _PAGES:
            raise _wrong_method(path, method, "GET")
        if path == b"/healthz":
            return 200, b"text/plain", b"ok\n"
        if path == b"/readyz":
            ready = self.runtime is not None and not self.draining
            return (200, b"text/plain", b"ready\n") if ready else (503, b"text/plain", b"not ready\n")
        if path == b"/metrics":
            return 200, b"text/plain; version=0.0.4; charset=utf-8", b""
        raise _unknown_path(path)

    def _models(self, path: bytes, scope: Scope) -> tuple[int, bytes, bytes]:
        rest = path[len(next(p for p in _MODELS if path.startswith(p))) :]
        if rest and not rest.startswith(b"/"):
            raise _unknown_path(path)
        if scope["method"] not in ("GET", "HEAD"):
            raise _wrong_method(path, scope["method"], "GET")
        runtime = self.runtime
        if runtime is None:
            raise _not_ready()
        now = time.time()
        principal = authenticate(scope, runtime, now)
        name = unquote(rest[1:].decode("latin-1"))
        return 200, JSON[1], one_model(name, principal, runtime, now) if name else list_models(principal, runtime, now)


def _not_ready() -> GatewayError:
    return GatewayError("not_ready", "No registry revision has been published yet.", retry_after=1.0)


def _wrong_method(path: bytes, method: str, right: str) -> GatewayError:
    return GatewayError("method_not_allowed", f"{path.decode('latin-1')[:120]} takes {right}, not {method[:20]}.")


def _unknown_path(path: bytes) -> GatewayError:
    shown = path.decode("latin-1")[:120]
    if shown.startswith("/v1/v1/"):
        return GatewayError("not_found", f"{shown} has /v1 twice: the client adds it to the base URL by itself.")
    near = near_matches(shown, _KNOWN, limit=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return GatewayError("not_found", f"There is no {shown} here.{hint}")
