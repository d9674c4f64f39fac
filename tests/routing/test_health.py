"""The breaker opens on failures in a row, and always closes again once the target is well."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.decision import Condition
from pointsman.core.policy import FailureKind
from pointsman.routing.health import (
    FIRST_PAUSE,
    ILLNESS,
    LONGEST_COOLDOWN,
    LONGEST_PAUSE,
    PROBE_SECONDS,
    THRESHOLD,
    Health,
)

OPEN, COOLING, DOWN = Condition.OPEN, Condition.COOLING_DOWN, Condition.DOWN
SICK = FailureKind.SERVER_ERROR
MISTAKES = sorted(set(FailureKind) - ILLNESS)


def broken(at: float = 0.0) -> Health:
    """A target whose breaker has just opened."""
    health = Health()
    for _ in range(THRESHOLD):
        health.attempt(at)
        health.failure(SICK, at)
    return health


def probe(health: Health, now: float, *, well: bool) -> None:
    assert health.condition(now) is OPEN
    health.attempt(now)
    if well:
        health.success()
    else:
        health.failure(SICK, now)


@pytest.mark.parametrize("kind", sorted(ILLNESS))
def test_it_opens_after_failures_in_a_row(kind: FailureKind) -> None:
    health = Health()
    for n in range(THRESHOLD):
        assert health.condition(n) is OPEN
        health.attempt(n)
        health.failure(kind, n)
    assert health.condition(THRESHOLD - 1) is DOWN
    assert health.retry_after(THRESHOLD - 1) == FIRST_PAUSE


def test_a_success_in_between_starts_the_count_anew() -> None:
    health = Health()
    for _ in range(10):
        for _ in range(THRESHOLD - 1):
            health.failure(SICK, 0.0)
        health.success()
    assert health.condition(0.0) is OPEN


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_callers_mistake_never_opens_it(kind: FailureKind) -> None:
    health = Health()
    for _ in range(100):
        health.attempt(0.0)
        health.failure(kind, 0.0)
    assert health.condition(0.0) is OPEN


@pytest.mark.parametrize("kind", [FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_EXCEEDED, FailureKind.EMPTY])
def test_what_callers_can_bring_about_is_no_illness(kind: FailureKind) -> None:
    assert kind not in ILLNESS


def test_one_call_at_a_time_probes_when_the_pause_is_over() -> None:
    health = broken()
    assert health.condition(FIRST_PAUSE - 0.01) is DOWN
    assert health.condition(FIRST_PAUSE) is OPEN
    health.attempt(FIRST_PAUSE)
    assert health.condition(FIRST_PAUSE) is DOWN
    assert health.retry_after(FIRST_PAUSE) == PROBE_SECONDS
    health.success()
    assert health.condition(FIRST_PAUSE) is OPEN
    assert health.retry_after(FIRST_PAUSE) == 0


def test_a_probe_that_never_ends_lets_another_one_try() -> None:
    health = broken()
    health.attempt(FIRST_PAUSE)
    assert health.condition(FIRST_PAUSE + PROBE_SECONDS - 0.01) is DOWN
    assert health.condition(FIRST_PAUSE + PROBE_SECONDS) is OPEN


def test_a_probe_whose_caller_hung_up_lets_another_one_try_at_once() -> None:
    health = broken()
    health.attempt(FIRST_PAUSE)
    health.abandoned()
    assert health.condition(FIRST_PAUSE) is OPEN


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_probe_that_was_a_callers_mistake_lets_another_one_try_at_once(kind: FailureKind) -> None:
    health = broken()
    health.attempt(FIRST_PAUSE)
    health.failure(kind, FIRST_PAUSE)
    assert health.condition(FIRST_PAUSE) is OPEN


def test_the_pause_doubles_with_every_failed_probe_up_to_the_longest() -> None:
    health, now, pauses = broken(), 0.0, []
    for _ in range(8):
        pauses.append(health.retry_after(now))
        now += pauses[-1]
        probe(health, now, well=False)
    assert pauses == [2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    probe(health, now + LONGEST_PAUSE, well=True)
    now += LONGEST_PAUSE
    for _ in range(THRESHOLD):
        assert health.condition(now) is OPEN
        health.failure(SICK, now)
    assert health.retry_after(now) == FIRST_PAUSE


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_the_pause() -> None:
    health = broken(at=0.0)
    for late in range(50):
        health.failure(SICK, late / 50)
    assert health.retry_after(1.0) == FIRST_PAUSE - 1.0
    probe(health, FIRST_PAUSE, well=False)
    assert health.retry_after(FIRST_PAUSE) == 2 * FIRST_PAUSE


def test_a_call_that_slips_in_while_it_is_open_is_no_probe() -> None:
    """It was decided before the breaker opened: its failure does not double the pause, nor does it hold up a probe."""
    health = broken(at=0.0)
    health.attempt(0.1)
    assert health.retry_after(0.1) == FIRST_PAUSE - 0.1
    health.failure(SICK, 0.2)
    assert health.condition(FIRST_PAUSE) is OPEN


def test_a_call_under_way_that_succeeds_after_it_opened_closes_it() -> None:
    health = broken()
    health.success()
    assert health.condition(0.0) is OPEN


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMITED, FailureKind.OVERLOADED])
def test_a_target_cools_down_as_long_as_it_was_told_to(kind: FailureKind) -> None:
    health = Health()
    health.failure(kind, 10.0, retry_after=5.0)
    assert health.condition(14.9) is COOLING
    assert health.retry_after(12.0) == 3.0
    assert health.condition(15.0) is OPEN


@pytest.mark.parametrize(
    ("said", "cools"), [(None, 0.0), (0.0, 0.0), (59.0, 59.0), (3600.0, LONGEST_COOLDOWN), (1e300, LONGEST_COOLDOWN)]
)
def test_a_retry_after_is_believed_up_to_a_bound(said: float | None, cools: float) -> None:
    health = Health()
    health.failure(FailureKind.RATE_LIMITED, 0.0, said)
    assert health.retry_after(0.0) == cools


def test_a_shorter_wait_does_not_shorten_a_longer_one() -> None:
    health = Health()
    health.failure(FailureKind.RATE_LIMITED, 0.0, 30.0)
    health.failure(FailureKind.RATE_LIMITED, 1.0, 2.0)
    assert health.retry_after(1.0) == 29.0


@pytest.mark.parametrize("kind", [FailureKind.SERVER_ERROR, FailureKind.INVALID_REQUEST, FailureKind.TIMEOUT])
def test_only_a_target_that_is_busy_is_left_to_cool(kind: FailureKind) -> None:
    health = Health()
    health.failure(kind, 0.0, retry_after=30.0)
    assert health.condition(0.0) is OPEN


def test_rate_limits_alone_never_take_a_target_down() -> None:
    health = Health()
    for now in range(100):
        health.failure(FailureKind.RATE_LIMITED, now, 1.0)
        assert health.condition(now) is COOLING


def test_down_is_worse_than_cooling() -> None:
    health = broken(at=0.0)
    health.failure(FailureKind.OVERLOADED, 0.0, 60.0)
    assert health.condition(1.0) is DOWN
    assert health.condition(FIRST_PAUSE) is COOLING


def outage(seed: int, calls_a_second: float) -> tuple[float, float]:
    """A target is sick for a while under load. Gives back how long after its recovery it first served, and again for
    good."""
    rng = random.Random(seed)
    health, now = Health(), 0.0
    heals = rng.uniform(1.0, 200.0)
    flying: list[tuple[float, FailureKind | None]] = []
    first = 0.0
    while now < heals + 120.0:
        now += rng.expovariate(calls_a_second)
        for ends, kind in sorted([call for call in flying if call[0] <= now], key=lambda call: call[0]):
            flying.remove((ends, kind))
            if kind is None:
                health.success()
                first = first or (ends if ends > heals else 0.0)
            elif rng.random() < 0.1:
                health.abandoned()
            else:
                health.failure(kind, ends, rng.choice([None, 3.0]))
        if health.condition(now) is not DOWN:
            health.attempt(now)
            well = now > heals
            kind = rng.choice(MISTAKES) if rng.random() < 0.2 else None if well else rng.choice(sorted(ILLNESS))
            flying.append((now + rng.uniform(0.0, 3.0), kind))
    assert health.condition(now) is not DOWN
    return heals, first


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 3.0, 20.0]))
def test_it_is_never_stuck_open(seed: int, calls_a_second: float) -> None:
    """Whatever happened before: once the target is well, it serves again within two pauses and two probes, under any
    load, with calls under way, hang-ups and callers' mistakes among them."""
    heals, first = outage(seed, calls_a_second)
    assert first
    gap = 10 / calls_a_second
    assert first - heals < 2 * LONGEST_PAUSE + 2 * PROBE_SECONDS + gap


steps = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 160).map(lambda quarters: quarters / 4)),
    st.tuples(st.sampled_from(["attempt", "success", "abandoned"]), st.just(0.0)),
    st.tuples(st.sampled_from(sorted(FailureKind)), st.sampled_from([-1.0, 0.0, 5.0, 1e9])),
)


@given(st.lists(steps, max_size=60))
def test_no_history_whatever_keeps_a_target_away_for_longer_than_the_longest_pause(
    history: list[tuple[str, float]],
) -> None:
    health, now = Health(), 0.0
    for what, figure in history:
        if what == "wait":
            now += figure
        elif what == "attempt":
            health.attempt(now)
        elif what == "success":
            health.success()
        elif what == "abandoned":
            health.abandoned()
        else:
            health.failure(FailureKind(what), now, None if figure < 0 else figure)
        wait = health.retry_after(now)
        assert wait <= max(LONGEST_PAUSE, LONGEST_COOLDOWN, PROBE_SECONDS)
        assert health.condition(now + wait) is OPEN
        assert (wait == 0) == (health.condition(now) is OPEN)
