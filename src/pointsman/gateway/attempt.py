"""One upstream call: send it, and tell an answer from a failure."""

from __future__ import annotations

import email.utils
import math
import time

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.core.policy import FailureKind
from pointsman.core.record import Attempt, AttemptKind
from pointsman.dialects.contract import Failure, StreamReader
from pointsman.gateway.asgi import HeaderList
from pointsman.gateway.call import Call
from pointsman.gateway.runtime import Target
from pointsman.gateway.settle import price
from pointsman.transport import Deadlines, Phase, Response, TransportError

PREAMBLE_BYTES = 64 << 10
"""How much of a stream is held back at most while its first content token is awaited."""

NAME_LENGTH = 256
"""How much is kept of a model's name and of a finish reason, which the upstream may make as long as it likes."""

_KIND_OF: dict[str, FailureKind] = {
    "timeout": FailureKind.TIMEOUT,
    "network": FailureKind.NETWORK,
    "tls": FailureKind.NETWORK,
    "protocol": FailureKind.INVALID_OUTPUT,
    "truncated": FailureKind.TRUNCATED,
    "too_large": FailureKind.INVALID_OUTPUT,
    "pool_exhausted": FailureKind.OVERLOADED,
}


_OF_THE_NAME = frozenset({FailureKind.NOT_FOUND, FailureKind.AUTH, FailureKind.INVALID_OUTPUT})
"""Failures that a made-up name brings about: they must not count against the others that share its pool."""


class Unary(msgspec.Struct):
    """A complete answer."""

    status: int
    headers: HeaderList
    body: bytes


class OpenStream(msgspec.Struct):
    """A stream whose first content token has come. `held` is what the caller should get of it so far."""

    target: Target
    attempt: Attempt
    response: Response
    reader: StreamReader
    held: bytes
    began: float


class Failed(msgspec.Struct):
    """An attempt that came to nothing. `status` and `body` are the upstream's, when it answered at all."""

    failure: Failure
    status: int = 0
    headers: HeaderList = []
    body: bytes = b""


async def attempt(call: Call, target: Target, kind: AttemptKind) -> Unary | OpenStream | Failed:
    """Make one upstream call and note it in the record."""
    began = call.clock()
    noted = Attempt(target.name, kind, int((began - call.started) * 1e6))
    record = call.record
    record.attempts = (*record.attempts, noted)
    record.target = target.name
    target.health.attempt(began)
    told = False
    try:
        result = await (_stream if call.incoming.stream else _unary)(call, target, noted, began)
        told = True
    except GatewayError as error:
        # Our own refusal to send it on: nothing has left, and nothing is owed.
        told = True
        noted.failure, noted.detail, noted.cost_nano = FailureKind.INVALID_REQUEST, error.code, 0
        target.health.abandoned()
        raise
    except TransportError as error:
        result = Failed(failure_of(error))
        if not error.sent:
            noted.cost_nano = 0
        told = True
    finally:
        if not told:
            note_abandoned(target, noted)
        noted.duration_us = int((call.clock() - began) * 1e6)
    if isinstance(result, Failed):
        result.failure = target.provider.cleaned(result.failure)
        note_failure(call, target, noted, result.failure)
    elif isinstance(result, Unary):
        target.health.success()
    return result


def note_failure(call: Call, target: Target, noted: Attempt, failure: Failure) -> None:
    """Write a failure into the attempt and into the target's health."""
    noted.failure = failure.kind
    noted.detail = failure.detail
    if noted.cost_nano is None and not noted.cost_reason:
        noted.cost_reason = "no_usage"
    if failure.local or (not target.registered and failure.kind in _OF_THE_NAME):
        target.health.abandoned()
    else:
        target.health.failure(failure.kind, call.clock(), failure.retry_after)


def note_abandoned(target: Target, noted: Attempt) -> None:
    """Write into an attempt that its caller did not wait for it."""
    target.health.abandoned()
    noted.failure = "cancelled"
    if noted.cost_nano is None:
        noted.cost_reason = "cancelled"


def failure_of(error: TransportError) -> Failure:
    """The transport's error in the words that routing uses."""
    detail = f"{error} ({error.phase})" if error.phase is not None else str(error)
    return Failure(_KIND_OF[error.kind], detail, spent=error.phase is Phase.total, local=error.kind == "pool_exhausted")


async def _send(call: Call, target: Target, deadlines: Deadlines) -> Response:
    incoming = call.incoming
    dialect = call.endpoint.dialect
    body = dialect.rewrite(incoming, target.spec.model, inject_usage=target.inject_usage)
    head = b"%b%d\r\n\r\n" % (target.head(dialect, incoming.stream), len(body))
    left = call.deadline - call.clock()
    if left < deadlines.total - 0.001:
        deadlines = msgspec.structs.replace(
            deadlines, total=max(left, 0.0), first_byte=min(deadlines.first_byte, max(left, 0.0))
        )
    return await target.pool.send(head, body, deadlines)


async def _unary(call: Call, target: Target, noted: Attempt, began: float) -> Unary | Failed:
    response = await _send(call, target, target.unary_deadlines)
    noted.status = response.status
    body = await response.read()
    if response.status != 200:
        return _refused(call, target, noted, response, body)
    answer = call.endpoint.dialect.answer(body)
    reported = answer.reported_model[:NAME_LENGTH]
    noted.reported_model = reported
    price(noted, target, answer.usage)
    if answer.failure is not None:
        return Failed(answer.failure)
    record = call.record
    record.usage = answer.usage
    record.finish_reason = answer.finish_reason[:NAME_LENGTH]
    record.reported_model = reported
    if reported != target.spec.model:
        record.drift = target.drifted(reported)
    return Unary(response.status, response.headers, body)


async def _stream(call: Call, target: Target, noted: Attempt, began: float) -> OpenStream | Failed:
    """Read until the first content token; everything before it is held back, so that another target may still serve."""
    response = await _send(call, target, target.stream_deadlines)
    noted.status = response.status
    kind = response.header(b"content-type") or b""
    if response.status != 200:
        return _refused(call, target, noted, response, await response.read())
    if not kind.lower().startswith(b"text/event-stream"):
        return _not_a_stream(call, await response.read(), kind)
    incoming = call.incoming
    reader = call.endpoint.dialect.stream_reader(incoming, hide_usage=target.inject_usage and not incoming.wants_usage)
    first_token_by = began + target.stream_deadlines.first_byte
    response.expect_by(first_token_by, Phase.first_token)
    held = b""
    try:
        while not reader.started:
            data = await response.chunk()
            if not data:
                break
            held += reader.feed(data)
            if reader.failure is not None or len(held) > PREAMBLE_BYTES:
                break
        if not data:
            held += reader.rest()
        failure = reader.failure if reader.started else reader.failure or (None if held and data else reader.end())
    except TransportError:
        price(noted, target, reader.usage)
        raise
    if failure is not None and not reader.started:
        response.abort()
        noted.reported_model = reader.reported_model[:NAME_LENGTH]
        price(noted, target, reader.usage)
        return Failed(failure)
    now = call.clock()
    response.expect_by(now + target.stream_deadlines.idle, Phase.idle)
    noted.first_token_us = int((now - began) * 1e6)
    noted.reported_model = reader.reported_model[:NAME_LENGTH]
    return OpenStream(target, noted, response, reader, held, began)


def _not_a_stream(call: Call, body: bytes, kind: bytes) -> Failed:
    """A stream was asked for and something else came: an error in disguise, mostly."""
    said = call.endpoint.dialect.answer(body)
    if said.failure is not None and said.failure.kind is not FailureKind.INVALID_OUTPUT:
        return Failed(said.failure)
    shown = kind[:60].decode("latin-1") or "no content type"
    return Failed(Failure(FailureKind.INVALID_OUTPUT, f"a stream was asked for, and {shown} came"))


def _refused(call: Call, target: Target, noted: Attempt, response: Response, body: bytes) -> Failed:
    """An answer with another status than 200. Providers do not bill these."""
    noted.cost_nano = 0
    body = target.provider.redact(body)
    failure = call.endpoint.dialect.failure(response.status, body, retry_after(response))
    return Failed(failure, response.status, response.headers, body)


def retry_after(response: Response) -> float | None:
    """Seconds of a `retry-after-ms` or `retry-after` header (number or HTTP date); None without one."""
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = response.header(name)
        if value is None:
            continue
        text = value.decode("latin-1").strip()
        try:
            seconds = float(text) * unit
        except ValueError:
            seconds = _seconds_until(text)
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _seconds_until(date: str) -> float:
    """Seconds until an HTTP date; infinite for what is none."""
    try:
        return email.utils.mktime_tz(parsed) - time.time() if (parsed := email.utils.parsedate_tz(date)) else math.inf
    except (ValueError, OverflowError):
        return math.inf
