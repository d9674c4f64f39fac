"""A stream on its way to the caller: bytes pass as they come, and its end is recorded before its last byte is sent."""

from __future__ import annotations

from pointsman.core.errors import GatewayError
from pointsman.core.record import Outcome
from pointsman.dialects.contract import Failure
from pointsman.gateway.asgi import Send
from pointsman.gateway.attempt import OpenStream, failure_of, note_failure
from pointsman.gateway.call import Call
from pointsman.gateway.respond import EVENT_STREAM, NO_CACHE, passed_on, truth_headers
from pointsman.gateway.settle import Ledger, price, settle
from pointsman.transport import Phase, TransportError

CLOSING_SECONDS = 0.25
"""How long a stream that has said it is complete may take to close, before its connection is given up instead."""


async def relay(call: Call, stream: OpenStream, send: Send, ledger: Ledger) -> None:
    """Pass the stream on to its end and settle the call."""
    record = call.record
    record.status = 200
    record.reported_model = stream.reader.reported_model
    record.drift = stream.target.drifted(record.reported_model)
    record.first_token_us = call.since_start_us()
    ledger.opened(record)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [EVENT_STREAM, NO_CACHE, *passed_on(stream.response.headers), *truth_headers(call)],
        }
    )
    try:
        last, failure = await _pass(call, stream, send)
    finally:
        _note(call, stream)
    call.hang_up.disarm()
    if failure is None:
        stream.target.health.success()
        settle(call, ledger, Outcome.OK, 200)
    else:
        note_failure(call, stream.target, stream.attempt, failure)
        settle(call, ledger, Outcome.FAILED, 200, "stream_interrupted")
        if stream.reader.failure is None:
            last += _interrupted(call, failure)
    record.response_bytes += len(last)
    await send({"type": "http.response.body", "body": last})


async def _pass(call: Call, stream: OpenStream, send: Send) -> tuple[bytes, Failure | None]:
    """Pass bytes on. Gives back what is still to be sent at the very end, and what went wrong."""
    reader, response, record = stream.reader, stream.response, call.record
    pending = stream.held
    feed, chunk = reader.feed, response.chunk
    closing = False
    try:
        while reader.failure is None:
            # What may be the last bytes waits for the end of the stream: the record comes first.
            if reader.complete:
                if not closing:
                    closing = True
                    response.expect_by(call.clock() + CLOSING_SECONDS, Phase.idle)
            elif pending:
                record.response_bytes += len(pending)
                await send({"type": "http.response.body", "body": pending, "more_body": True})
                pending = b""
            data = await chunk()
            if not data:
                return pending, reader.end()
            pending = pending + feed(data) if pending else feed(data)
    except TransportError as error:
        if reader.complete and reader.usage is not None:
            return pending, None
        return pending, reader.end() if reader.complete else failure_of(error)
    response.abort()
    return stream.target.provider.redact(pending), reader.failure


def _note(call: Call, stream: OpenStream) -> None:
    """What the stream has told, whether it came to its end or not."""
    reader, noted, record = stream.reader, stream.attempt, call.record
    noted.duration_us = int((call.clock() - stream.began) * 1e6)
    price(noted, stream.target, reader.usage)
    record.usage = reader.usage
    record.finish_reason = reader.finish_reason


def _interrupted(call: Call, failure: Failure) -> bytes:
    error = GatewayError(
        "stream_interrupted",
        f"{call.record.target} broke off its stream: {failure.kind}: {failure.detail}. What came so far is incomplete.",
    )
    return call.endpoint.dialect.stream_error(error, call.record.call_id)
