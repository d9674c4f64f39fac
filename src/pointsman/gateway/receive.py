"""What comes from the caller: the body, within bounds, and word that the caller has hung up."""

from __future__ import annotations

import asyncio
from typing import Any

from pointsman.core.errors import GatewayError
from pointsman.gateway.asgi import Receive, Scope
from pointsman.gateway.exchange import Exchange

BODY_SECONDS = 60.0
"""How long a caller may take to send a body that does not come in one piece."""


class HungUpError(Exception):
    """The caller closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole request body, at most `limit` bytes. Raises GatewayError, or HungUpError when the caller is gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and len(value) > 6 and int(value) > limit:
            raise _too_large(limit)
        if name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise GatewayError(
                "unsupported_content_encoding",
                f"The request body is encoded as {value.decode('latin-1')[:40]!r}. Send it without content-encoding.",
            )
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUpError
    body: bytes = message["body"]
    if not message["more_body"]:
        if len(body) > limit:
            raise _too_large(limit)
        return body
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_pieces(body, receive, limit)
    except TimeoutError as error:
        raise GatewayError(
            "body_timeout", f"The request body did not arrive within {BODY_SECONDS:.0f} seconds."
        ) from error


async def _read_pieces(first: bytes, receive: Receive, limit: int) -> bytes:
    pieces = [first]
    size = len(first)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUpError
        pieces.append(message["body"])
        size += len(message["body"])
        more = message["more_body"]
        if size > limit:
            raise _too_large(limit)
    return b"".join(pieces)


def _too_large(limit: int) -> GatewayError:
    return GatewayError(
        "body_too_large",
        f"The request body is larger than {limit:,} bytes. Send less, or raise POINTSMAN_MAX_BODY_BYTES.",
    )


class HangUp:
    """Cancels the task that serves a call when its caller hangs up.

    The server tells of it by a callback on the exchange. ASGI's own way, waiting in `receive`, would take a task per
    call that does nothing but wait.
    """

    __slots__ = ("_exchange", "_task", "happened")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._exchange: Exchange | None = None
        self.happened = False

    def watch(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        """Begin. The body must have been read to its end. Raises HungUpError when the caller is gone already."""
        if exchange.disconnected:
            raise HungUpError
        self._task = asyncio.current_task(loop)
        self._exchange = exchange
        exchange.lost = self._lost

    def disarm(self) -> None:
        """Stop watching: what follows is not to be cancelled any more."""
        if self._exchange is not None:
            self._exchange.lost = None
            self._exchange = self._task = None

    def _lost(self) -> None:
        if self._task is not None:
            self.happened = True
            self._task.cancel()
