"""Who may use the admin API: the holder of the admin token. Every path but /healthz, whether it exists or not."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from pointsman.control.admin_token import Token
from pointsman.control.api.problem import ProblemDetails, problem_body

OPEN_PATHS = (b"/healthz",)


class BearerOnly:
    """ASGI wrapper around the whole application, so that no route can forget it. It looks at the raw path."""

    def __init__(self, app: Any, token: Token) -> None:
        self._app = app
        self._expected = b"Bearer " + token.value.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass requests that carry the token; answer 401 to the others."""
        if scope["type"] != "http":
            return  # the server drops what nobody answers; there are no websockets here
        if scope["raw_path"] in OPEN_PATHS or self._knows(scope["headers"]):
            await self._app(scope, receive, send)
            return
        body = problem_body(
            ProblemDetails(
                title="Unauthorized",
                status=401,
                code="unauthorized",
                detail="Send the admin token as `Authorization: Bearer …`. It is POINTSMAN_ADMIN_TOKEN, or the content "
                "of the file admin-token in the data directory.",
            )
        )
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _knows(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, rest = given[0].partition(b" ")
        return hmac.compare_digest(scheme.title() + b" " + rest.strip(), self._expected)
