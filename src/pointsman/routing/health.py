"""Health of a target as this worker has seen it: a breaker that opens on failures in a row, and closes again.

    open breaker     after `THRESHOLD` failures in a row that speak against the target; nothing is sent for a while
    half open        when that time is over, one call at a time may try
    closed           after one success

A rate limit is no illness: the target is only cooling down until the time that the upstream named, and still serves
when nothing else can.
"""

from __future__ import annotations

from pointsman.core.decision import Condition
from pointsman.core.policy import FailureKind

THRESHOLD = 5
"""Failures in a row that open the breaker."""

FIRST_PAUSE = 2.0
"""Seconds that a breaker stays open the first time; doubled each time a probe fails."""

LONGEST_PAUSE = 30.0
"""Seconds that a breaker stays open at most."""

LONGEST_COOLDOWN = 60.0
"""Seconds that a Retry-After is believed at most."""

PROBE_SECONDS = 10.0
"""How long a probe may take before another one is let through."""

ILLNESS = frozenset(
    {
        FailureKind.SERVER_ERROR,
        FailureKind.OVERLOADED,
        FailureKind.TIMEOUT,
        FailureKind.NETWORK,
        FailureKind.TRUNCATED,
        FailureKind.INVALID_OUTPUT,
        FailureKind.AUTH,
        FailureKind.NOT_FOUND,
    }
)
"""Failures that speak against the target. A caller's mistake or an empty answer does not."""


class Health:
    """Health of one target. All times are seconds of the caller's monotonic clock."""

    __slots__ = ("_cooling_until", "_down_until", "_failures", "_pause", "_probe_until")

    def __init__(self) -> None:
        self._failures = 0
        self._down_until = 0.0
        self._cooling_until = 0.0
        self._pause = FIRST_PAUSE
        self._probe_until = 0.0

    def condition(self, now: float) -> Condition:
        """What `decide` asks: may the target serve at `now`?"""
        if self._down_until and (now < self._down_until or now < self._probe_until):
            return Condition.DOWN
        if now < self._cooling_until:
            return Condition.COOLING_DOWN
        return Condition.OPEN

    def retry_after(self, now: float) -> float:
        """Seconds until the target may serve again; 0 when it may now."""
        return max(self._down_until - now, self._probe_until - now, self._cooling_until - now, 0.0)

    def attempt(self, now: float) -> None:
        """An attempt begins. When the pause is over this is the probe, and the others wait for its result."""
        if self._down_until and now >= self._down_until:
            self._probe_until = now + PROBE_SECONDS

    def success(self) -> None:
        """An attempt succeeded: the breaker is closed."""
        if self._failures:
            self._failures = 0
            self._down_until = self._probe_until = 0.0
            self._pause = FIRST_PAUSE

    def abandoned(self) -> None:
        """An attempt ended without telling anything (the caller hung up): the next one may probe."""
        self._probe_until = 0.0

    def failure(self, kind: FailureKind, now: float, retry_after: float | None = None) -> None:
        """An attempt failed."""
        if retry_after is not None and kind in (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED):
            self._cooling_until = max(self._cooling_until, now + min(retry_after, LONGEST_COOLDOWN))
        if kind not in ILLNESS:
            self._probe_until = 0.0
            return
        self._failures += 1
        if self._down_until:
            # A failed probe; failures of calls that were under way when the breaker opened do not lengthen the pause.
            if self._probe_until:
                self._probe_until = 0.0
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                self._down_until = now + self._pause
        elif self._failures >= THRESHOLD:
            self._down_until = now + self._pause
