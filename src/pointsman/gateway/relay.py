"""A stream on its way to the caller: bytes pass as they come, and its end is recorded before its last byte is sent."""

from __future__ import annotations

from pointsman.core.errors import GatewayError
from pointsman.core.record import Outcome
from pointsman.dialects.contract import Failure
from pointsman.gateway.asgi import Send
from pointsman.gateway.attempt import NAME_LENGTH, OpenStream, failure_of, note_abandoned, note_failure
from pointsman.gateway.call import Call
from pointsman.gateway.recover import in_words
from pointsman.gateway.respond import EVENT_STREAM, NO_CACHE, passed_on, truth_headers
from pointsman.gateway.settle import Ledger, price, settle
from pointsman.transport import Phase, TransportError

CLOSING_SECONDS = 0.25
"""How long a stream that has said its last word may take to close, before its connection is given up instead."""

LAGGING_SECONDS = 5.0
"""How far usage may lag behind a finish reason. The caller waits for it, because its call is not settled without."""


async def relay(call: Call, stream: OpenStream, send: Send, ledger: Ledger) -> None:
    """Pass the stream on to its end and settle the call."""
    record = call.record
    record.status = 200
    record.reported_model = stream.attempt.reported_model
    record.drift = stream.target.drifted(record.reported_model)
    record.first_token_us = call.since_start_us()
    ledger.opened(record)
    headers = [EVENT_STREAM, NO_CACHE, *passed_on(stream.response.headers), *truth_headers(call)]
    passed = False
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        last, failure = await _pass(call, stream, send)
        passed = True
    finally:
        # Whoever stopped reading in the middle must not leave the upstream talking to nobody.
        stream.response.abort()
        _note(call, stream)
        if not passed:
            note_abandoned(stream.target, stream.attempt)
    call.hang_up.disarm()
    if failure is not None:
        failure = stream.target.provider.cleaned(failure)
        note_failure(call, stream.target, stream.attempt, failure)
        last += _interrupted(call, failure)
    record.response_bytes += len(last)
    if failure is None:
        stream.target.health.success()
        settle(call, ledger, Outcome.OK, 200)
    else:
        settle(call, ledger, Outcome.FAILED, 200, "stream_interrupted")
    await send({"type": "http.response.body", "body": last})


async def _pass(call: Call, stream: OpenStream, send: Send) -> tuple[bytes, Failure | None]:
    """Pass bytes on. Gives back what is still to be sent at the very end, and what went wrong.

    What may be the last bytes waits for the end of the stream: the record comes first.
    """
    passing = _Passing(call, stream)
    reader, response = stream.reader, stream.response
    try:
        while reader.failure is None:
            if reader.complete:
                wait = CLOSING_SECONDS if reader.done else LAGGING_SECONDS
                response.expect_by(call.clock() + wait, Phase.idle)
                data = await response.chunk()
                passing.pending += reader.feed(data)
            else:
                call.record.response_bytes += len(passing.pending)
                await send({"type": "http.response.body", "body": passing.pending, "more_body": True})
                passing.pending = b""
                await response.pipe(passing.take)
            if response.ended:
                return passing.pending + reader.rest(), reader.end()
    except TransportError as error:
        if reader.complete and reader.usage is not None:
            return passing.pending, None
        return passing.pending, reader.end() if reader.complete else failure_of(error)
    return passing.pending, reader.failure


class _Passing:
    """Bytes on their way from the upstream's socket to the caller's, in one step and without waking any task."""

    __slots__ = ("_feed", "_push", "_reader", "_record", "pending")

    def __init__(self, call: Call, stream: OpenStream) -> None:
        self._reader = stream.reader
        self._feed = stream.reader.feed
        self._push = call.exchange.push
        self._record = call.record
        self.pending = stream.held

    def take(self, data: bytes) -> bool:
        """Pass on what has arrived; False at the end of the stream, or when the caller does not keep up."""
        out = self._feed(data)
        reader = self._reader
        if reader.complete or reader.failure is not None:
            self.pending = out
            return False
        if not out:
            return True
        self._record.response_bytes += len(out)
        return self._push(out)


def _note(call: Call, stream: OpenStream) -> None:
    """What the stream has told, whether it came to its end or not."""
    reader, noted, record = stream.reader, stream.attempt, call.record
    noted.duration_us = int((call.clock() - stream.began) * 1e6)
    price(noted, stream.target, reader.usage)
    record.usage = reader.usage
    record.finish_reason = reader.finish_reason[:NAME_LENGTH]


def _interrupted(call: Call, failure: Failure) -> bytes:
    error = GatewayError(
        "stream_interrupted",
        f"{call.record.target} broke off its stream: {failure.kind}: {in_words(failure)}. "
        "What came so far is incomplete.",
    )
    return call.endpoint.dialect.stream_error(error, call.record.call_id)
