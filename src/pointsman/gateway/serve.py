"""One call from top to bottom. Each step takes what the last one gave; none reaches back.

authenticate → read → resolve → decide → attempt → settle → respond
"""

from __future__ import annotations

import asyncio
import logging
import time

from pointsman.core.decision import Reason, decide
from pointsman.core.errors import GatewayError
from pointsman.core.record import CallRecord, Outcome
from pointsman.gateway.asgi import Receive, Scope, Send
from pointsman.gateway.attempt import Failed, OpenStream, Unary
from pointsman.gateway.authenticate import authenticate
from pointsman.gateway.call import Call, CallIds, Endpoint, wall_ns
from pointsman.gateway.receive import HangUp, HungUpError, read_body
from pointsman.gateway.recover import final_error, first_answer
from pointsman.gateway.relay import relay
from pointsman.gateway.resolve import require_allowed, resolve
from pointsman.gateway.respond import JSON, passed_on, respond, respond_error
from pointsman.gateway.runtime import Runtime
from pointsman.gateway.settle import Ledger, settle

LOG = logging.getLogger("pointsman.gateway")
_OUR_FAULT = GatewayError("internal_error", "The gateway made a mistake. Its log names this call id.")

TASK_BYTES = 200
"""Longest x-pointsman-task and traceparent that are kept."""


class CallServer:
    """Serves calls of one worker. Holds what calls share; a call's own state is in `Call`."""

    def __init__(
        self,
        worker: str,
        ledger: Ledger,
        loop: asyncio.AbstractEventLoop,
        *,
        max_body_bytes: int,
        max_in_flight: int,
    ) -> None:
        self._worker = worker
        self._ledger = ledger
        self._counters = ledger.counters
        self._ids = CallIds()
        self._loop = loop
        self._max_body = max_body_bytes
        self._max_in_flight = max_in_flight

    async def serve(self, endpoint: Endpoint, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call on the revision it was given. Whatever happens, one record is written."""
        now = wall_ns()
        record = CallRecord(
            self._ids.next(now), now, runtime.revision, runtime.hash, self._worker, endpoint=endpoint.name
        )
        hang_up = HangUp()
        call = Call(endpoint, runtime, record, scope["pointsman.exchange"], time.monotonic, hang_up)
        counters = self._counters
        counters.in_flight += 1
        try:
            await self._steps(call, scope, receive, send)
        except GatewayError as error:
            hang_up.disarm()
            outcome = Outcome.FAILED if record.attempts or error.kind.status == 500 else Outcome.REFUSED
            settle(call, self._ledger, outcome, error.kind.status, error.code)
            respond_error(call, error)
        except HungUpError:
            settle(call, self._ledger, Outcome.CANCELLED, 0, "client_closed")
        except asyncio.CancelledError:
            self._cancelled(call)
            if not hang_up.happened:
                raise
            _uncancel()
        except Exception:  # a fault of our own must still be recorded, shown and answered
            LOG.exception("call %s failed inside the gateway", record.call_id)
            hang_up.disarm()
            unanswered = not call.settled
            settle(call, self._ledger, Outcome.FAILED, 500, "internal_error")
            if unanswered and not record.response_bytes:
                respond_error(call, _OUR_FAULT)
        finally:
            hang_up.disarm()
            counters.in_flight -= 1

    async def _steps(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        record = call.record
        if self._counters.in_flight > self._max_in_flight:
            raise GatewayError("overloaded", "This gateway is serving as many calls as it may.", retry_after=1.0)
        self._ledger.require_room()
        unix_now = record.started_ns / 1e9
        call.principal = authenticate(scope, call.runtime, unix_now)
        record.key, record.team = call.principal.name, call.principal.team
        body = await read_body(scope, receive, self._max_body)
        record.request_bytes = len(body)
        _note_headers(record, scope)
        self._understand(call, body)
        self._decide(call, unix_now)
        call.hang_up.watch(call.exchange, self._loop)
        result = await first_answer(call)
        if isinstance(result, Unary):
            self._respond(call, result)
        elif isinstance(result, OpenStream):
            await relay(call, result, send, self._ledger)
        else:
            self._fail(call, result)

    @staticmethod
    def _understand(call: Call, body: bytes) -> None:
        """Read the request and resolve its name."""
        record = call.record
        incoming = call.incoming = call.endpoint.dialect.read(body)
        need = incoming.need
        record.requested = incoming.model[:256]
        record.stream = incoming.stream
        record.needs = need.capabilities
        record.need_input_tokens = need.input_tokens
        record.need_max_output = need.max_output
        route = call.route = resolve(incoming.model, need.task, call.principal, call.runtime)
        record.route_kind = route.kind
        record.workflow = route.workflow
        record.policy = route.plan.policy
        require_allowed(incoming.model, call.principal)

    @staticmethod
    def _decide(call: Call, unix_now: float) -> None:
        """Which targets may serve this call. Raises GatewayError when none may, with every reason."""
        record = call.record
        now = call.clock()
        decision = call.decision = decide(call.route.plan, call.incoming.need, call.principal.rights, now, unix_now)
        record.dropped = decision.dropped
        if not decision.order:
            raise _nobody(call, now)
        record.order = tuple([target.name for target in decision.order])

    def _respond(self, call: Call, answer: Unary) -> None:
        call.hang_up.disarm()
        call.record.response_bytes = len(answer.body)
        settle(call, self._ledger, Outcome.OK, answer.status)
        respond(call, 200, [JSON, *passed_on(answer.headers)], answer.body)

    def _fail(self, call: Call, failed: Failed) -> None:
        """No attempt gave an answer. What the upstream says of the caller's own mistake is passed on as it is."""
        failure = failed.failure
        kind = next((value for name, value in failed.headers if name == b"content-type"), b"")
        if not failure.client_error or not kind.startswith(JSON[1]):
            raise final_error(call, failure)
        call.hang_up.disarm()
        call.record.response_bytes = len(failed.body)
        settle(call, self._ledger, Outcome.FAILED, failed.status, failure.kind)
        respond(call, failed.status, [(b"content-type", kind), *passed_on(failed.headers)], failed.body)

    def _cancelled(self, call: Call) -> None:
        """The caller has hung up, or this process is being stopped."""
        happened = call.hang_up.happened
        outcome = Outcome.CANCELLED if happened else Outcome.INTERRUPTED
        settle(call, self._ledger, outcome, call.record.status, "client_closed" if happened else "shutdown")


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _note_headers(record: CallRecord, scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"x-pointsman-task":
            record.task = value[:TASK_BYTES].decode("utf-8", "replace")
        elif name == b"traceparent":
            record.traceparent = value[:TASK_BYTES].decode("latin-1")


def _nobody(call: Call, now: float) -> GatewayError:
    """The refusal that names every candidate and its reason."""
    dropped = call.record.dropped
    said = "; ".join(
        f"{d.target} ({d.reason}: {d.detail})" if d.detail else f"{d.target} ({d.reason})" for d in dropped
    )
    by = f" under policy {call.record.policy!r}" if call.record.policy else ""
    down = {d.target for d in dropped if d.reason in (Reason.DOWN, Reason.COOLING_DOWN)}
    if down:
        wait = min(t.health.retry_after(now) for t in call.route.plan.candidates if t.name in down)
        return GatewayError(
            "no_healthy_target",
            f"No healthy target can serve {call.record.requested!r}{by}: {said}.",
            retry_after=max(wait, 1.0),
        )
    return GatewayError(
        "no_eligible_target",
        f"No approved target can serve this request for {call.record.requested!r}{by}: {said}.",
        param="model",
    )
