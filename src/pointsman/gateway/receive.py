"""What comes from the caller: the body, within bounds, and word that the caller has hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from pointsman.core.errors import GatewayError
from pointsman.gateway.asgi import Message, Receive, Scope

BODY_SECONDS = 60.0
"""How long a caller may take to send a body that does not come in one piece."""

DRAIN_BYTES = 256 << 20
DRAIN_SECONDS = 20.0
"""A body that is too large is read and thrown away up to here, so that its sender lives to read the error."""


class HungUpError(Exception):
    """The caller closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole request body, at most `limit` bytes. Raises GatewayError, or HungUpError when the caller is gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and len(value) > 6 and int(value) > limit:
            await _drain(receive)
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
            if more:
                await _drain(receive)
            raise _too_large(limit)
    return b"".join(pieces)


def _too_large(limit: int) -> GatewayError:
    return GatewayError(
        "body_too_large",
        f"The request body is larger than {limit:,} bytes. Send less, or raise POINTSMAN_MAX_BODY_BYTES.",
    )


async def _drain(receive: Receive) -> None:
    size = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise HungUpError
                size += len(message["body"])
                if not message["more_body"]:
                    return
    except TimeoutError:
        return


class HangUp:
    """Cancels the task that serves a call when its caller hangs up.

    ASGI tells of a disconnect through `receive`, which waits. A task per call that does nothing but wait costs more
    than the rest of a call's bookkeeping, so the coroutine is driven by hand instead: one step to where it waits, and
    a callback on the future it waits for.
    """

    __slots__ = ("_future", "_receiving", "_task", "happened")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._receiving: Coroutine[Any, Any, Message] | None = None
        self._future: asyncio.Future[Any] | None = None
        self.happened = False

    def watch(self, receive: Receive) -> None:
        """Begin. The body must have been read to its end."""
        self._task = asyncio.current_task()
        self._receiving = receive()  # type: ignore[assignment]  # ASGI servers' receive is a coroutine function
        self._step()

    def disarm(self) -> None:
        """Stop watching: what follows is not to be cancelled any more."""
        self._task = None
        if self._future is not None:
            self._future.remove_done_callback(self._wake)
            self._future = None
        if self._receiving is not None:
            self._receiving.close()
            self._receiving = None

    def _wake(self, _: asyncio.Future[Any]) -> None:
        self._future = None
        if self._receiving is not None:
            self._step()

    def _step(self) -> None:
        receiving = self._receiving
        if receiving is None:
            return
        try:
            future = receiving.send(None)
        except StopIteration as stop:
            self._receiving = None
            if stop.value["type"] == "http.disconnect" and self._task is not None:
                self.happened = True
                self._task.cancel()
            return
        # What a Task does with the future that its coroutine yields: mark it as awaited, and be called back.
        future._asyncio_future_blocking = False
        self._future = future
        future.add_done_callback(self._wake)
