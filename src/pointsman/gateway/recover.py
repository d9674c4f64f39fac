"""What happens when an attempt fails: the same target again, the next one, or an honest end.

Nothing here chooses a target. The decision has said which ones may serve, and in which order.
"""

from __future__ import annotations

import asyncio
import random

from pointsman.core.decision import Condition
from pointsman.core.errors import GatewayError
from pointsman.core.policy import FailureKind, OnFailure
from pointsman.core.record import AttemptKind
from pointsman.core.target import Flow
from pointsman.dialects.contract import Failure
from pointsman.gateway.attempt import Failed, OpenStream, Unary, attempt
from pointsman.gateway.call import Call
from pointsman.gateway.runtime import Target

LONGEST_WAIT = 2.0
"""Seconds that a caller is kept waiting for a Retry-After; a longer one goes to the next target, or to the caller."""

FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 1.0

POINTLESS_AGAIN = frozenset(
    {
        FailureKind.AUTH,
        FailureKind.NOT_FOUND,
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_EXCEEDED,
        FailureKind.CONTENT_FILTERED,
    }
)
"""Failures that the same target would only repeat."""


async def first_answer(call: Call) -> Unary | OpenStream | Failed:
    """Attempt the decision's candidates until one answers. A `Failed` is the last failure when none did."""
    policy = call.route.plan.on_failure
    order = call.decision.order
    # Time for two whole attempts: a target that hangs until its own limit must leave the next one time to answer.
    call.deadline = call.started + order[0].spec.timeouts.total + order[min(1, len(order) - 1)].spec.timeouts.total
    failed: Failed | None = None
    for place, target in enumerate(order):
        if failed is not None and target.condition(call.clock()) is Condition.DOWN:
            continue
        kind = AttemptKind.FALLBACK if place or call.decision.head_flow is Flow.FALLBACK else AttemptKind.PRIMARY
        result = await _at_target(call, target, kind, policy)
        if not isinstance(result, Failed):
            return result
        failed = result
        if result.failure.kind not in policy.on or call.clock() >= call.deadline:
            break
    if failed is None:
        raise GatewayError("no_healthy_target", "Every target that may serve this request is down.", retry_after=1.0)
    return failed


async def _at_target(call: Call, target: Target, kind: AttemptKind, policy: OnFailure) -> Unary | OpenStream | Failed:
    """One target, with the retries that the policy grants."""
    result = await attempt(call, target, kind)
    for again in range(policy.retry):
        if not isinstance(result, Failed):
            return result
        failure = result.failure
        if failure.kind not in policy.on or failure.kind in POINTLESS_AGAIN or failure.spent:
            return result
        pause = pause_before(failure, again)
        now = call.clock()
        if pause is None or now + pause >= call.deadline:
            return result
        if target.condition(now + pause) is Condition.DOWN:
            return result
        await asyncio.sleep(pause)
        result = await attempt(call, target, AttemptKind.RETRY)
    return result


def pause_before(failure: Failure, again: int) -> float | None:
    """Seconds to wait before the same target is tried again; None when the caller should not be kept waiting so long.

    Without a Retry-After the wait is drawn from zero to a bound that doubles (full jitter), so that callers who failed
    together do not return together.
    """
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= LONGEST_WAIT else None
    return random.random() * min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << again))  # noqa: S311 (not a secret)


_CODE_OF: dict[FailureKind, str] = {
    FailureKind.RATE_LIMITED: "upstream_rate_limited",
    FailureKind.TIMEOUT: "upstream_timeout",
    FailureKind.AUTH: "upstream_auth",
    FailureKind.TRUNCATED: "upstream_invalid",
    FailureKind.EMPTY: "upstream_invalid",
    FailureKind.INVALID_OUTPUT: "upstream_invalid",
    FailureKind.INVALID_REQUEST: "invalid_request",
    FailureKind.CONTEXT_EXCEEDED: "invalid_request",
    FailureKind.CONTENT_FILTERED: "invalid_request",
}


def in_words(failure: Failure) -> str:
    """A failure for the caller: our detail, and what the upstream said."""
    return ": ".join(part for part in (failure.detail, failure.said) if part)


def final_error(call: Call, failure: Failure) -> GatewayError:
    """What the caller is told when no attempt gave an answer."""
    record = call.record
    tried = len(record.attempts)
    times = "1 attempt" if tried == 1 else f"{tried} attempts"
    if failure.kind is FailureKind.AUTH:
        message = (
            f"{record.target} refused the gateway's own credential ({times}). "
            "Your key is fine; the operator has to mend the provider's credential."
        )
    else:
        message = f"{record.target} failed after {times}: {failure.kind}: {in_words(failure)}"
    return GatewayError(_CODE_OF.get(failure.kind, "upstream_error"), message, retry_after=failure.retry_after)
