"""What the caller gets: headers that say the truth, answers, errors in its dialect."""

from __future__ import annotations

import math

from pointsman.core.errors import GatewayError
from pointsman.core.money import format_usd
from pointsman.gateway.asgi import HeaderList, Send
from pointsman.gateway.call import Call

PASSED_ON = frozenset(
    {
        b"openai-processing-ms",
        b"openai-version",
        b"openai-organization",
        b"x-request-id",
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-requests",
        b"x-ratelimit-reset-tokens",
    }
)
"""Upstream response headers that clients use; all others stay behind."""

JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE = (b"cache-control", b"no-cache")


def passed_on(upstream: HeaderList) -> HeaderList:
    """The upstream's headers that the caller sees."""
    return [pair for pair in upstream if pair[0] in PASSED_ON]


def truth_headers(call: Call) -> HeaderList:
    """The x-pointsman headers of a call, as far as they are known now."""
    record = call.record
    headers: HeaderList = [(b"x-pointsman-call-id", record.call_id.encode())]
    if record.order:
        headers += call.route.headers
    else:
        headers.append((b"x-pointsman-revision", str(record.revision).encode()))
    if record.target:
        headers.append((b"x-pointsman-target", record.target.encode()))
    if record.attempts:
        headers.append((b"x-pointsman-attempts", str(len(record.attempts)).encode()))
    if record.reported_model:
        headers.append((b"x-pointsman-served-model", _header_value(record.reported_model)))
    if record.cost_nano is not None:
        headers.append((b"x-pointsman-cost-usd", format_usd(record.cost_nano).encode()))
    return headers


def _header_value(text: str) -> bytes:
    """Text of the upstream as a header value: what could break a header is replaced."""
    return text.encode("ascii", "replace").translate(_PRINTABLE)


_PRINTABLE = bytes(c if 0x20 <= c < 0x7F else 0x3F for c in range(256))


async def send_body(send: Send, status: int, headers: HeaderList, body: bytes) -> None:
    """A complete response."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def respond(call: Call, status: int, headers: HeaderList, body: bytes) -> None:
    """A complete response to a call, with the truth about it."""
    call.exchange.respond(status, [*headers, *truth_headers(call), (b"content-length", b"%d" % len(body))], body)


def respond_error(call: Call, error: GatewayError) -> None:
    """A refusal or failure in the caller's dialect."""
    body = call.endpoint.dialect.error(error, call.record.call_id)
    # Attempts of ours times attempts of the client's would be a storm: who has tried again here says so.
    again = len(call.record.attempts) <= 1 or error.retry_after is not None
    respond(call, error.kind.status, [JSON, *error_headers(error, again=again)], body)


def error_headers(error: GatewayError, *, again: bool = True) -> HeaderList:
    """Whether and when a client should try again (`x-should-retry` is what the OpenAI SDKs read)."""
    headers: HeaderList = [(b"x-should-retry", b"true" if error.kind.retryable and again else b"false")]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    return headers
